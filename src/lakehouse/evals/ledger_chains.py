"""Random chains for a second implementation to agree with, and the six conformance vectors.

    python -m lakehouse.evals.ledger_chains --count 10000 --with "node tests/ledger/verify_chain.js"
    python -m lakehouse.evals.ledger_chains --vectors docs/conformance/subject-audit.json

Each chain has one to five rows under up to two keys, with empty fields, moments whose nanoseconds end in zeros, all of
Unicode but surrogates, quotes, backslashes and control characters. One in four is damaged, so that verdicts are
compared too.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess  # nosec B404 - starts the verifier that is named on the command line
import sys
from pathlib import Path
from typing import Any

from lakehouse.ledger import rows, verifier
from lakehouse.ledger.rows import GENESIS, Accessor, Event, Writer

_PIECES = [
    "",
    "w-1",
    "Caf\u00e9 r\u00e9sum\u00e9 \u2b50 \u4f60\u597d",
    'a "quoted" \\ word',
    "tab\tline\nbreak\r",
    "\x00\x1f\x7f",
    "\U0001f600",
]
_FACTS = ("canonical", "hmac", "rows", "tip", "verified", "error")


def chain(chance: random.Random) -> dict[str, Any]:
    """Return a random chain: `keys` as hexadecimal by id, `subject`, `lines`."""
    subject = _text(chance) or "w-0"
    keys = {f"k{number}": chance.randbytes(chance.choice((32, 33, 64, 65, 100))) for number in (1, 2)}
    lines, prev = [], GENESIS
    for seq in range(1, chance.randint(1, 5) + 1):
        key_id = "k1" if seq < 3 else "k2"
        nanos = chance.choice((0, 461439210, 100000000, chance.randrange(10**9)))
        month, day, hour = chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23)
        moment = f"2026-{month:02d}-{day:02d}T{hour:02d}:30:17.{nanos:09d}Z"
        writer = Writer(keys[key_id], key_id, Accessor(_text(chance), _text(chance), _text(chance)), moment)
        fields = tuple(_text(chance) for _ in range(chance.randint(0, 3)))
        event = Event(subject=subject, action=_text(chance), purpose=_text(chance), fields=fields, result=_text(chance))
        line, prev = writer.line(event, seq=seq, prev=prev)
        lines.append(line.decode())
    if chance.random() < 0.25:
        _damage(lines, chance)
    return {"keys": {name: key.hex() for name, key in keys.items()}, "subject": subject, "lines": lines}


def verdict(given: dict[str, Any]) -> dict[str, Any]:
    """Return what this product says of a chain."""
    keys = {name: bytes.fromhex(key) for name, key in given["keys"].items()}
    lines = [line.encode() for line in given["lines"]]
    found = verifier.verify_chain(lines, keys, given["subject"])
    taken = [rows.canonical_of(line) for line in lines[: found.rows]]
    return {
        "canonical": [canonical.decode() for canonical, _ in taken],
        "hmac": [mac for _, mac in taken],
        "rows": found.rows,
        "tip": found.tip,
        "verified": found.verified,
        "error": found.error,
    }


def disagreements(chains: list[dict[str, Any]], command: list[str]) -> list[str]:
    """Ask another implementation for its verdicts and return where it differs, in words."""
    told = "".join(json.dumps(each) + "\n" for each in chains)
    done = subprocess.run(command, input=told.encode(), capture_output=True, check=True)  # noqa: S603  # nosec B603
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(chains):
        return [f"{len(answers)} answers for {len(chains)} chains"]
    return [
        f"chain {number}: {fact} {other[fact]!r}, here {mine[fact]!r}"
        for number, (given, other) in enumerate(zip(chains, answers, strict=True))
        for mine in [verdict(given)]
        for fact in _FACTS
        if mine[fact] != other[fact]
    ]


def vectors() -> dict[str, Any]:
    """Return the conformance vectors."""
    one, two = bytes(range(32)), bytes(range(32, 80))
    plain = {"time": "2026-05-02T11:45:09.461439211Z", "trace": "5f3c9b0e6d1a4b7f8e2d1c0b9a887766"}
    chains = {
        "known answer": _lines("w-1", [(one, "k1", plain, ("name", "phone"))]),
        "nanoseconds that end in zero": _lines(
            "w-2", [(one, "k1", {**plain, "time": "2026-05-02T11:45:09.461439210Z"}, ("name",))]
        ),
        "empty fields are written": _lines("w-3", [(one, "k1", {**plain, "trace": ""}, ())]),
        "unicode and escapes": _lines(
            'w-Caf\u00e9 \u2b50 \u4f60\u597d "\\\n', [(one, "k1", plain, ("a\tb", "\u0001", "\U0001f600"))]
        ),
        "a chain over a key rotation": _lines(
            "w-5", [(one, "k1", plain, ("name",)), (two, "k2", plain, ()), (two, "k2", plain, ())]
        ),
    }
    damaged = _lines("w-6", [(one, "k1", plain, ("name",)), (one, "k1", plain, ("name",))])
    chains["a row that was changed"] = (damaged[0], [damaged[1][0], damaged[1][1].replace("shown", "hidden")])
    cases = []
    for name, (subject, lines) in chains.items():
        given = {"keys": {"k1": one.hex(), "k2": two.hex()}, "subject": subject, "lines": lines}
        cases.append({"name": name, "input": given, "expected": verdict(given)})
    return {"kind": "subject-audit", "cases": cases}


def _lines(subject: str, written: list[tuple[bytes, str, dict[str, str], tuple[str, ...]]]) -> tuple[str, list[str]]:
    lines, prev = [], GENESIS
    for seq, (key, key_id, facts, fields) in enumerate(written, 1):
        writer = Writer(key, key_id, Accessor("key", "anna", facts["trace"]), facts["time"])
        event = Event(subject=subject, action="search", purpose="staffing", fields=fields, result="shown")
        line, prev = writer.line(event, seq=seq, prev=prev)
        lines.append(line.decode())
    return subject, lines


def _text(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(_PIECES)
    points = (
        chance.choice((chance.randrange(0x80), chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)))
        for _ in range(chance.randint(0, 12))
    )
    return "".join(map(chr, points))


def _damage(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        lines[at] = lines[at].replace('"fields":', '"fields": ')
    elif kind == 1:
        digit = lines[at][-10]
        lines[at] = lines[at][:-10] + ("0" if digit != "0" else "1") + lines[at][-9:]
    elif kind == 2:
        lines.insert(at, lines[at])
    else:
        lines[at] = lines[at].replace(".", ".0", 1) if "." in lines[at] else lines[at][:-1]


def main(words: list[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--with", dest="command", default="node tests/ledger/verify_chain.js")
    parser.add_argument("--vectors", type=Path, help="write the conformance vectors to this file, and nothing else")
    given = parser.parse_args(words)
    if given.vectors:
        given.vectors.write_text(json.dumps(vectors(), indent=2, ensure_ascii=True) + "\n", encoding="utf-8")
        return 0
    chance = random.Random(given.seed)
    chains = [chain(chance) for _ in range(given.count)]
    differ = disagreements(chains, shlex.split(given.command))
    good = sum(verdict(each)["verified"] for each in chains)
    print(f"{given.count} chains ({good} good, {given.count - good} damaged), {len(differ)} disagreements")
    print("\n".join(differ[:20]))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
