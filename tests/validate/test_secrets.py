import csv
import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.validate import secrets

DATA = Path(__file__).parents[3] / "shared" / "data"

# How people write telephone numbers, here and elsewhere; A area, B exchange, C line, D a digit.
PHONES = [
    "AAA-BBB-CCCC", "(AAA) BBB-CCCC", "AAA.BBB.CCCC", "AAA BBB CCCC", "AAABBBCCCC", "1-AAA-BBB-CCCC", "1 AAA BBB CCCC",
    "+1 AAA BBB CCCC", "+1-AAA-BBB-CCCC", "+1 (AAA) BBB-CCCC", "+1AAABBBCCCC", "1AAABBBCCCC", "1.AAA.BBB.CCCC",
    "(AAA)BBB-CCCC", "(AAA) BBB CCCC", "(AAA)BBBCCCC", "AAA/BBB-CCCC", "BBB-CCCC", "BBB CCCC", "BBB.CCCC",
    "AAA-BBB-CCCC x123", "AAA-BBB-CCCC ext. 4567", "AAA.BBB.CCCCx459", "001-AAA-BBB-CCCC", "001AAABBBCCCC",
    "tel:+1-AAA-BBB-CCCC", "AAA\u2013BBB\u2013CCCC", "AAA\u00a0BBB\u00a0CCCC", "+44 20 7DDD DDDD", "+447DDDDDDDDD",
    "07DDD DDDDDD", "+49 176 DDDD DDDD", "0049 176 DDDDDDDD", "+33 6 DD DD DD DD", "06.DD.DD.DD.DD", "+48 DDD DDD DDD",
    "DDD DDD DDD", "DDD DD DDD", "+52 1 55 DDDD DDDD", "+63 9DD DDD DDDD", "639DDDDDDDDD", "+86 138 DDDD DDDD",
    "+91 98DDD DDDDD", "9DDDDDDDDD", "(02) DDDD DDDD", "BBB-CCCC BBB-CCCC", "AAA-BBB-CCCC or AAA-BBB-CCCC",
]  # fmt: skip
WRITTEN = ["{}", "Call me at {} please", "phone {}", "Text {} by 5pm, shift starts 06:00", "Cell: {}."]


def phone(form: str, draw: random.Random) -> str:
    first = {"A": "23456789", "B": "23456789", "C": "0123456789", "D": "0123456789"}
    out, seen = [], ""
    for sign in form:
        fresh = sign != seen and sign in "AB"
        out.append(draw.choice(first[sign] if fresh else "0123456789") if sign in first else sign)
        seen = sign
    return "".join(out)


def test_secrets_telephone_numbers_are_none():
    draw = random.Random(7)
    assert len(set(PHONES)) >= 30
    for number in range(10_000):
        text = draw.choice(WRITTEN).format(phone(PHONES[number % len(PHONES)], draw))
        assert secrets.find(text) == [], text


def lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        return file.read().splitlines()


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the data set {name} is not beside the project")
    return path


def test_secrets_real_text_messages_hold_none():
    ham = [line.partition("\t")[2] for line in lines(data("sms_spam/sms_spam.tsv.gz")) if line.startswith("ham\t")]
    assert len(ham) > 2_000
    assert [text for text in ham if secrets.find(text)] == []


def test_secrets_occupation_codes_are_none():
    rows = lines(data("onet/Occupation_Data.txt.gz"))
    assert len(rows) > 1_000
    assert [row for row in rows if secrets.find(row)] == []


def test_secrets_demand_codes_are_none():
    with gzip.open(data("h2b_demands/h2b_demands_fy2015_2018.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        rows = [" ".join(row.values()) for row in csv.DictReader(file)]
    assert len(rows) > 30_000
    assert [row for row in rows[::10] if secrets.find(row)] == []


def labelled(kind: str) -> list[str]:
    with gzip.open(data("presidio_pii/synth_dataset.json.gz")) as file:
        samples = json.load(file)
    return [s["full_text"] for s in samples if any(span["entity_type"] == kind for span in s["spans"])]


def test_secrets_every_labelled_ssn_is_found():
    texts = labelled("US_SSN")
    assert texts
    assert [text for text in texts if "ssn" not in secrets.find(text)] == []


def test_secrets_labelled_cards_are_found():
    texts = labelled("CREDIT_CARD")
    found = sum("card" in secrets.find(text) for text in texts)
    assert found >= 0.99 * len(texts) > 0


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("SSN 219-09-9999", ["ssn"]),
        ("219-09-9999", ["ssn"]),
        ("219\u201309\u20139999", ["ssn"]),
        ("2\u200b19-09-9999", ["ssn"]),
        ("\uff12\uff11\uff19-\uff10\uff19-\uff19\uff19\uff19\uff19", ["ssn"]),
        ("\u0662\u0661\u0669-\u0660\u0669-\u0669\u0669\u0669\u0669", ["ssn"]),
        ("her social is 219099999", ["ssn"]),
        ("SSN: 219 09 9999", ["ssn"]),
        ("219 09 9999", []),
        ("219099999", []),
        ("000-12-3456 666-12-3456 123-00-4567 123-45-0000", []),
        ("ITIN 912-75-1234", ["ssn"]),
        ("900-12-3456", []),
        ("part 1219-09-9999", []),
        ("4111 1111 1111 1111", ["card"]),
        ("4111-1111-1111-1111", ["card"]),
        ("4111111111111111", ["card"]),
        ("4111111111111112", []),
        ("3782 822463 10005", ["card"]),
        ("order 4222222222222", []),
        ("visa 4222222222222", ["card"]),
        ("routing number 021000021", ["bank"]),
        ("case 021000021", []),
        ("bank account 12345678", ["bank"]),
        ("your account is ready", []),
        ("IBAN GB82 WEST 1234 5698 7654 32", ["bank"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("password: hunter22", ["credential"]),
        ("the password is on the door", []),
        ("AKIAIOSFODNN7EXAMPLE", ["credential"]),
        ("53-7051.00 on 2026-03-02, ZIP 44114-1234, FEIN 34-1234567", []),
    ],
)
def test_secrets_text_gives_kinds(text, kinds):
    assert secrets.find(text) == kinds


@given(st.text())
def test_secrets_any_text_never_raises(text):
    secrets.find(text)
