"""Change a ledger in one place, at random, and see whether the verifier finds it.

    python -m lakehouse.evals.ledger_mutations --count 100000

A small ledger is written by the product: three checkpoints, each anchored, a key rotation in between. Then, again and
again, one mutation is made to its files and undone: a bit flipped, a row dropped, swapped with another, written twice,
the end cut off, a row of another subject put in, a subject taken out, an older state of the whole ledger put back, the
old state continued with other rows by the true keys (a fork), a key exchanged, everything signed anew by another key.
Every one must be found; ledgers that nobody touched must be called good.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lakehouse.ledger import anchors, keys, verifier
from lakehouse.ledger.chains import Chains
from lakehouse.ledger.checkpoints import Checkpoints
from lakehouse.ledger.rows import Accessor, Event

LOGS = ("rows.jsonl", "tree.jsonl", "checkpoints.jsonl")
_ODD = ("w-1", "w-\u00fc", "e-\u2b50", 'w-"q"', "w-\\", "w-10", "w-1\n0")


class Outcome(msgspec.Struct, frozen=True):
    """How many mutations of each kind were made, those that were missed in words, and false alarms of clean ledgers."""

    made: Counter[str]
    missed: list[str]
    clean: int
    false_alarms: list[str]


class Specimen:
    """A ledger to be mutated, with earlier states of it.

    Args:
        place: An empty folder.
        chance: Decides about subjects, fields and times.
    """

    def __init__(self, place: Path, chance: random.Random) -> None:
        self.folder, self.anchor = place / "ledger", place / "anchor"
        self._chance = chance
        self.folder.mkdir()
        self.states: list[dict[str, bytes]] = []
        self._write(self.folder, self.anchor, rounds=3)
        self.files = self._files()

    def report(self) -> verifier.Report:
        """Check the files as they are."""
        return verifier.verify(self.folder, anchors=[self.anchor])

    def restore(self) -> None:
        """Undo what was done to the files."""
        self.put(self.files)

    def put(self, files: dict[str, bytes]) -> None:
        """Put files in place of those there are."""
        for name, data in files.items():
            path = self.folder / name
            if path.read_bytes() != data:
                path.write_bytes(data)

    def fork(self) -> None:
        """Go on from an older state with other rows, with the true keys."""
        self.put(self._chance.choice(self.states[:-1]))
        self._write(self.folder, None, rounds=self._chance.randint(1, 4))

    def resign(self, place: Path) -> None:
        """Write a whole new ledger with new keys in place of this one."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        self._write(place, None, rounds=3)
        self.put({name: (place / name).read_bytes() for name in self.files if (place / name).exists()})

    def _files(self) -> dict[str, bytes]:
        named = [*LOGS, *(f"keys/{path.name}" for path in (self.folder / "keys").iterdir() if path.suffix != ".json")]
        return {name: (self.folder / name).read_bytes() for name in named}

    def _write(self, folder: Path, anchor: Path | None, *, rounds: int) -> None:
        ring = keys.open_keys(folder / "keys", make=not (folder / LOGS[0]).exists())
        put = anchors.anchor(str(anchor) if anchor else "", ring.vkey, anchors.no_bucket)
        checkpoints = Checkpoints(folder, put)
        chains = Chains(folder, ring, checkpoints.signed)
        for number in range(rounds):
            for _ in range(self._chance.randint(2, 5)):
                who = Accessor(
                    "key", self._chance.choice(("anna", "", "b\u00e9n")), self._chance.choice(("", "t" * 32))
                )
                moment = datetime.fromtimestamp(1_790_000_000 + self._chance.randrange(10**8) / 1000, UTC)
                subjects = self._chance.sample(_ODD, self._chance.randint(1, 4))
                chains.append([self._event(subject) for subject in subjects], who, moment)
            checkpoints.add(chains, chains.ring)
            if anchor and number == 0:
                chains.use(keys.rotate(chains.ring))
            if anchor:
                self.states.append({name: (folder / name).read_bytes() for name in LOGS})
        chains.close()
        checkpoints.close()

    def _event(self, subject: str) -> Event:
        fields = tuple(
            sorted(self._chance.sample(("name", "phone", "city", "na\u00efve", ""), self._chance.randint(0, 5)))
        )
        action = self._chance.choice(("search", "view", "sql", ""))
        return Event(subject=subject, action=action, purpose="staffing", fields=fields, result="shown")


Mutation = Callable[[Specimen, random.Random], str]


def flip(specimen: Specimen, chance: random.Random) -> str:
    """Flip one bit of one file that is checked."""
    name = chance.choice([*LOGS, "keys/k1.key", "keys/k2.key", "keys/public.vkey"])
    data = bytearray(specimen.files[name])
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    specimen.put({name: bytes(data)})
    return f"bit flip in {name} at {at}"


def _edited(edit: Callable[[list[bytes], random.Random], str]) -> Mutation:
    def mutate(specimen: Specimen, chance: random.Random) -> str:
        name = chance.choice((*LOGS, LOGS[0]))
        lines = specimen.files[name].splitlines(keepends=True)
        before = [*lines]
        said = ""
        while lines == before:
            said = edit(lines, chance)
        specimen.put({name: b"".join(lines)})
        return f"{said} in {name}"

    return mutate


def _drop(lines: list[bytes], chance: random.Random) -> str:
    at = chance.randrange(len(lines))
    del lines[at]
    return f"drop of line {at + 1}"


def _swap(lines: list[bytes], chance: random.Random) -> str:
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return f"swap of lines {one + 1} and {other + 1}"


def _duplicate(lines: list[bytes], chance: random.Random) -> str:
    at = chance.randrange(len(lines))
    lines.insert(chance.randint(0, len(lines)), lines[at])
    return f"line {at + 1} written twice"


def _cut(lines: list[bytes], chance: random.Random) -> str:
    keep = chance.randrange(len(lines))
    rest = lines[keep][: chance.randrange(len(lines[keep]))]
    lines[keep:] = [rest] if rest else []
    return f"cut off after line {keep} and {len(rest)} bytes"


def splice(specimen: Specimen, chance: random.Random) -> str:
    """Put a row of one subject where one of another stood."""
    lines = specimen.files[LOGS[0]].splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one] = lines[other]
    specimen.put({LOGS[0]: b"".join(lines)})
    return f"row {other + 1} in place of row {one + 1}"


def vanish(specimen: Specimen, chance: random.Random) -> str:
    """Take a subject out of the rows, all of it."""
    lines = specimen.files[LOGS[0]].splitlines(keepends=True)
    whose = msgspec.json.decode(chance.choice(lines))["subject"]
    specimen.put({LOGS[0]: b"".join(line for line in lines if msgspec.json.decode(line)["subject"] != whose)})
    return f"{whose!r} taken out"


def set_back(specimen: Specimen, chance: random.Random) -> str:
    """Put an older state back, of everything or of the checkpoints alone."""
    state = chance.choice(specimen.states[:-1])
    whole = chance.random() < 0.5
    specimen.put(state if whole else {LOGS[2]: state[LOGS[2]]})
    return f"an older state {'of everything' if whole else 'of the checkpoints'}"


def fork(specimen: Specimen, _chance: random.Random) -> str:
    """Go on from an older state in another way."""
    specimen.fork()
    return "fork"


def exchange(specimen: Specimen, chance: random.Random) -> str:
    """Exchange a key, or sign a whole other ledger with other keys."""
    if chance.random() < 0.1:
        specimen.resign(specimen.folder.parent / "other")
        return "another ledger under other keys"
    name = chance.choice(("keys/k1.key", "keys/k2.key"))
    specimen.put({name: chance.randbytes(32)})
    return f"another {name}"


MUTATIONS: dict[str, tuple[Mutation, int]] = {
    "bit flip": (flip, 40),
    "drop": (_edited(_drop), 10),
    "swap": (_edited(_swap), 10),
    "duplicate": (_edited(_duplicate), 10),
    "truncate": (_edited(_cut), 10),
    "splice": (splice, 7),
    "subject deleted": (vanish, 4),
    "rollback": (set_back, 4),
    "fork": (fork, 1),
    "key swap": (exchange, 4),
}


def run(
    count: int, seed: int, *, specimens: int = 20, progress: Callable[[int, int], None] = lambda _made, _missed: None
) -> Outcome:
    """Make `count` mutations over several ledgers, each checked clean before and after; tell progress by ledger."""
    chance = random.Random(seed)
    kinds = list(MUTATIONS)
    weights = [MUTATIONS[kind][1] for kind in kinds]
    made: Counter[str] = Counter()
    missed: list[str] = []
    alarms: list[str] = []
    for number in range(specimens):
        with tempfile.TemporaryDirectory() as scratch:
            specimen = Specimen(Path(scratch), chance)
            report = specimen.report()
            if not (report.good and report.freshness.ok):
                alarms.append(f"specimen {number}: {report}")
            for kind in chance.choices(kinds, weights, k=count // specimens):
                said = MUTATIONS[kind][0](specimen, chance)
                made[kind] += 1
                if specimen.report().good:
                    missed.append(f"specimen {number}: {said}")
                    print(missed[-1], file=sys.stderr, flush=True)
                specimen.restore()
            if not specimen.report().good:
                alarms.append(f"specimen {number}, after all")
        progress(made.total(), len(missed) + len(alarms))
    return Outcome(made, missed, 2 * specimens, alarms)


def main(words: list[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(words)
    begin = time.perf_counter()
    outcome = run(
        given.count,
        given.seed,
        specimens=max(1, min(200, given.count // 50)),
        progress=lambda made, wrong: print(f"{made} made, {wrong} missed or false alarms", file=sys.stderr, flush=True),
    )
    for kind, count in outcome.made.most_common():
        print(f"{kind:<16}{count:>8}")
    print(f"{outcome.made.total()} mutations, {len(outcome.missed)} missed; {outcome.clean} clean checks,", end=" ")
    print(f"{len(outcome.false_alarms)} false alarms; {time.perf_counter() - begin:.0f} s")
    print("\n".join([*outcome.missed, *outcome.false_alarms]))
    return 1 if outcome.missed or outcome.false_alarms else 0


if __name__ == "__main__":
    sys.exit(main())
