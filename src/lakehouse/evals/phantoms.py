"""No phantom people: random fills of real, nearly real and invented ids, against a roster of two corpora.

    python -m lakehouse.evals.phantoms --fills 100000

A fill must pass if and only if everybody in it is in the roster. Half of the fills name one corpus as their roster, and
people of the other are phantoms there.
"""

from __future__ import annotations

import argparse
import random
import string
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse import settings
from lakehouse.app import Lakehouse, connect
from lakehouse.validate.base import Context

if TYPE_CHECKING:
    from lakehouse.validate.service import Validators

_ROLE = "Forklift Operator"
_LOOK_ALIKES = str.maketrans({"w": "\u0461", "e": "\u0435", "-": "\u2010", "1": "\uff11", "0": "\u041e"})
_MANGLED_SHARE = 0.3
_MOST_PEOPLE = 4


class Tally(msgspec.Struct):
    """What came of it: `wrong` lists fills that passed with a phantom, or were refused without one."""

    fills: int = 0
    passed: int = 0
    phantoms: int = 0
    wrong: list[str] = []


def mangled(id: str, draw: random.Random) -> str:
    """Return an id that is nearly this one, or nothing like it; by chance it may be a real one."""
    at = draw.randrange(len(id))
    swapped = ("e" if id[0] == "w" else "w") + id[1:]
    choices = [
        id[:at] + draw.choice(string.ascii_letters + string.digits) + id[at + 1 :],
        id[:at] + id[at + 1 :],
        id.upper(),
        id + " ",
        " " + id,
        id + "\u200b",
        id + "\n",
        id.translate(_LOOK_ALIKES),
        swapped,
        id[:2] + "0" + id[2:],
        id.replace("-", ""),
        id[2:],
        f"w-{draw.randrange(10**9)}",
        "",
        "' OR 1=1 --",
    ]
    return draw.choice(choices)


def build(folder: Path, *, workers: int, employees: int) -> tuple[Lakehouse, dict[str, set[str]]]:
    """Make a lake with the corpora `workers` and `employees`; returns it with the ids of each."""
    lake = connect(config=settings.load(environ={}, overrides={"data": str(folder)}))
    real: dict[str, set[str]] = {}
    for name, prefix, count in (("workers", "w-", workers), ("employees", "e-", employees)):
        rows = "".join(f"{number},{_ROLE},53-7051.00\n" for number in range(1, count + 1))
        lake.ingest.file(f"id,role,role_code\n{rows}".encode(), name, content_type="text/csv")
        lake.corpora.build(name, name, "id", prefix, ["role"])
        real[name] = {f"{prefix}{number}" for number in range(1, count + 1)}
    return lake, real


def fills(real: dict[str, set[str]], *, count: int, seed: int) -> Iterator[tuple[str, list[str], set[str]]]:
    """Yield roster, ids and those of them that are in it."""
    draw = random.Random(seed)
    everybody = sorted(set().union(*real.values()))
    for number in range(count):
        roster = "" if number % 2 else draw.choice(sorted(real))
        among = real[roster] if roster else set(everybody)
        drawn = draw.sample(sorted(among) if number % 50 == 0 else _some(roster, real, draw), _people(draw))
        ids = [mangled(id, draw) if draw.random() < _MANGLED_SHARE else id for id in drawn]
        yield roster, ids, {id for id in ids if id in among}


def _people(draw: random.Random) -> int:
    return draw.randint(1, _MOST_PEOPLE)


def _some(roster: str, real: dict[str, set[str]], draw: random.Random) -> list[str]:
    """Return ids drawn by number, which is quicker than sorting a whole roster each time."""
    found: list[str] = []
    while len(found) < 2 * _MOST_PEOPLE:
        name = roster or draw.choice(("workers", "employees"))
        id = f"{name[0]}-{draw.randint(1, len(real[name]))}"
        if id not in found:
            found.append(id)
    return found


def measure(validators: Validators, drawn: Iterator[tuple[str, list[str], set[str]]]) -> Tally:
    """Check each fill and compare what was refused with what is not in the roster."""
    tally = Tally()
    for roster, ids, known in drawn:
        payload = {"demand": {"role": _ROLE, "count": len(ids)}, "workers": [{"id": id} for id in ids]}
        checked = validators.examine("fill", payload, Context(roster=roster))
        refused = {at for at, _ in enumerate(ids) if _is_refused(checked.findings, at)}
        wanted = {at for at, id in enumerate(ids) if id not in known}
        passes = not wanted and len(set(ids)) == len(ids)
        tally.fills += 1
        tally.passed += checked.ok
        tally.phantoms += len(wanted)
        if refused != wanted or checked.ok != passes:
            tally.wrong.append(f"{roster or 'all'}: {ids}")
    return tally


def _is_refused(findings: Sequence[object], at: int) -> bool:
    field = f"workers[{at}].id"
    return any(
        getattr(finding, "code", "") == "phantom_worker" and getattr(finding, "field", "") == field
        for finding in findings
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run as a command; 1 when a fill was judged wrongly."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fills", type=int, default=100_000, help="random fills")
    parser.add_argument("--workers", type=int, default=5_000, help="people in the first corpus")
    parser.add_argument("--employees", type=int, default=1_000, help="people in the second")
    parser.add_argument("--seed", type=int, default=1, help="of the drawing")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        lake, real = build(Path(scratch) / "lake", workers=options.workers, employees=options.employees)
        with lake:
            started = time.perf_counter()
            tally = measure(lake.rooms.validate, fills(real, count=options.fills, seed=options.seed))
            took = time.perf_counter() - started
    print(f"{tally.fills:,} fills, {tally.phantoms:,} phantom ids among them, in {took:.0f} s")
    print(f"{tally.passed:,} passed; {len(tally.wrong)} judged wrongly")
    for line in tally.wrong[:20]:
        print(f"  {line}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
