"""Numbers and keys that must never stand in a message: by form, checksum and the words around them.

A form alone proves little: nine digits are a telephone number in Poland, and every tenth number of thirteen digits
passes the checksum of a card. So each kind is taken by what makes it certain. Only kinds are told, never the digits,
because findings are logged and shown.

Sources: the Social Security Administration's rules for valid numbers (randomised since 2011), ISO/IEC 7812 (cards),
the American Bankers Association's routing checksum, ISO 13616 (IBAN).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

Kind = Literal["ssn", "card", "bank", "credential"]

_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"), "-")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BEFORE, _AFTER = 48, 24

_SSN = re.compile(r"(?<![\w+.-])(?<!\d )(\d{3})([-. ])(\d{2})\2(\d{4})(?![\w-]|[. ]\d)")
_NINE = re.compile(r"(?<![\w+])\d(?:[ .-]?\d){8}(?![ .-]?\d)")
_SSN_WORDS = re.compile(r"\b(?:ssn|s\.s\.n|itin|social|tax(?:payer)? id)\b|\bss ?#", re.IGNORECASE)

_CARD = re.compile(
    r"(?<![\w+.-])(?<!\d )"
    r"(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?![\w]|[- ]\d)"
)
_CARD_WORDS = re.compile(
    r"\b(?:cards?|visa|master ?card|maestro|amex|american express|credit|debit|cc)\b", re.IGNORECASE
)
# Issuer's first digits, the lengths it issues, and those so short that a telephone number may have them.
_ISSUERS: tuple[tuple[re.Pattern[str], frozenset[int], frozenset[int]], ...] = (
    (re.compile("4"), frozenset({13, 16, 19}), frozenset({13})),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16}), frozenset()),
    (re.compile("3[47]"), frozenset({15}), frozenset()),
    (re.compile("3(?:0[0-59]|[689])"), frozenset({14, 16, 17, 18, 19}), frozenset()),
    (re.compile("6011|64[4-9]|65"), frozenset({16, 17, 18, 19}), frozenset()),
    (re.compile("35"), frozenset({16, 17, 18, 19}), frozenset()),
    (re.compile("2131|1800"), frozenset({15}), frozenset()),
    (re.compile("62|60|81"), frozenset({16, 17, 18, 19}), frozenset()),
    (re.compile("50|5[6-8]|6"), frozenset(range(12, 20)), frozenset({12, 13, 14, 15})),
)

_ROUTING_WORDS = re.compile(r"\b(?:routing|aba|rtn|transit)\b", re.IGNORECASE)
_ACCOUNT = re.compile(
    r"\b(?:bank\s+(?:account|acct)|account\s*(?:number|no\b\.?|num\b|#)"
    r"|acct\b\.?\s*(?:number|no\b\.?|#)?|a/c\s*(?:no\b\.?|#)?)"
    r"\s*(?:is|:|=|#)?\s*\d[\d -]{4,24}\d",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<!\w)([A-Z]{2}\d{2})((?:[ -]?[A-Z0-9]){11,30})(?!\w)")
_CREDENTIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}"
    r"|\b[sr]k[-_](?:[a-z]+[-_])?[A-Za-z0-9_-]{20,}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\."
    r"|\b(?:password|passwd|pwd|api[_ -]?key|secret[_ -]?key)\s*[:=]\s*\S{4,}",
    re.IGNORECASE,
)


def find(text: str) -> list[Kind]:
    """Return the kinds of secrets in a text, each once, in a fixed order."""
    plain = _plain(text)
    found: dict[Kind, bool] = {
        "ssn": any(_ssns(plain)),
        "card": any(_cards(plain)),
        "bank": _has_bank_number(plain),
        "credential": _CREDENTIAL.search(plain) is not None,
    }
    return [kind for kind, there in found.items() if there]


def _plain(text: str) -> str:
    """Write digits, spaces and dashes in one way, so that a look-alike hides nothing."""
    text = _INVISIBLE.sub("", text).translate(_DASHES)
    if text.isascii():
        return text
    return "".join(_digit(letter) for letter in unicodedata.normalize("NFKC", text))


def _digit(letter: str) -> str:
    value = unicodedata.decimal(letter, None)
    if value is not None:
        return str(value)
    return " " if letter.isspace() and letter not in "\n\r" else letter


def _ssns(text: str) -> Iterator[bool]:
    for match in _SSN.finditer(text):
        if _is_ssn(match[1] + match[3] + match[4]):
            yield match[2] == "-" or _near(_SSN_WORDS, text, match)
    for match in _NINE.finditer(text):
        if _is_ssn(_digits(match[0])):
            yield _near(_SSN_WORDS, text, match)


def _is_ssn(digits: str) -> bool:
    area, group, serial = digits[:3], int(digits[3:5]), digits[5:]
    if area in {"000", "666"} or serial == "0000":
        return False
    if area[0] == "9":
        # Taxpayer numbers of those who have no social security number.
        return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
    return group > 0


def _cards(text: str) -> Iterator[bool]:
    for match in _CARD.finditer(text):
        digits = _digits(match[0])
        for begins, lengths, short in _ISSUERS:
            if begins.match(digits) and len(digits) in lengths and _passes_luhn(digits):
                yield len(digits) not in short or _near(_CARD_WORDS, text, match)


def _passes_luhn(digits: str) -> bool:
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def _has_bank_number(text: str) -> bool:
    if _ACCOUNT.search(text):
        return True
    for match in _NINE.finditer(text):
        digits = [int(digit) for digit in _digits(match[0])]
        if sum(map(int.__mul__, digits, (3, 7, 1) * 3)) % 10 == 0 and _near(_ROUTING_WORDS, text, match):
            return True
    return any(_is_iban(match[1], match[2]) for match in _IBAN.finditer(text))


def _is_iban(head: str, rest: str) -> bool:
    moved = re.sub("[ -]", "", rest) + head
    return int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _near(words: re.Pattern[str], text: str, match: re.Match[str]) -> bool:
    return (
        words.search(text, max(0, match.start() - _BEFORE), match.start()) is not None
        or words.search(text, match.end(), match.end() + _AFTER) is not None
    )


def _digits(written: str) -> str:
    return re.sub(r"\D", "", written)
