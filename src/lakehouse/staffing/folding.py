"""What two spellings of one text or of one client's name share: for comparing, never for showing."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Iterable

_APOSTROPHES = "'`\u00b4\u2018\u2019\u201b\u02b9\u02bb\u02bc\u2032\uff07"
_HYPHENS = "-\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_LETTERS = str.maketrans({**dict.fromkeys(_APOSTROPHES), **dict.fromkeys(_HYPHENS, " "), ",": " ", "&": " and "})
# Of "U.S." and "U. S."; one letter without a stop is a word ("Plan B Foods").
_INITIAL = re.compile(r"\b([^\W\d_])\.\s*(?=[^\W\d_]\b)")
# In "J.Crew" and "Inc.", not in "3.1 Logistics".
_STOP = re.compile(r"(?<!\d)\.|\.(?!\d)")
# A slip of the pen, not another name.
_ALIKE = 0.75
_NAMED = 3
# Clients of a day are few.
_REMEMBERED = 4_096


def folded(text: str) -> str:
    r"""Return a text in small letters, a letter and its accent as one character wherever there is such a one.

    >>> folded("Cafe\u0301") == folded("CAF\u00c9")
    True
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def folded_words(text: str) -> str:
    """Return what a text is known by: the same for another case, other spaces and another Unicode normal form."""
    return " ".join(folded(text).split())


@functools.lru_cache(_REMEMBERED)
def client_key(client: str | None) -> str:
    r"""Return what a client is known by, in small letters: without apostrophes, commas and stops, initials joined.

    A hyphen is a space and "&" is "and". Accents count, and so do words that only some write, such as "Inc".

    >>> client_key("O\u2019Brien Ltd."), client_key("U. S. Steel"), client_key("Coca-Cola")
    ('obrien ltd', 'us steel', 'coca cola')
    >>> client_key("Smith & Sons, Inc."), client_key("3.1 Logistics"), client_key(None)
    ('smith and sons inc', '3.1 logistics', '')
    """
    plain = folded(client or "").translate(_LETTERS)
    # Folded again, for what stood between a letter and its accent may be gone.
    return folded_words(_STOP.sub(" ", _INITIAL.sub(r"\1", plain)))


def clients_like(wanted: str, known: Iterable[str]) -> list[str]:
    """Return at most three clients of a name like one, the likest first: misspelt, or with more or fewer words.

    Args:
        wanted: What the client is known by.
        known: What those that there are are known by.

    >>> clients_like("becon freight", ["acme", "beacon freight", "beacon freight lines"])
    ['beacon freight', 'beacon freight lines']
    """
    names = sorted(filter(None, known))
    said = set(wanted.split())
    near = difflib.get_close_matches(wanted, names, _NAMED, _ALIKE)
    near += [name for name in names if said and (said <= set(name.split()) or said >= set(name.split()))]
    return [*dict.fromkeys(near)][:_NAMED]
