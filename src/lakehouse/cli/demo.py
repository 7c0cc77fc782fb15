"""`demo`: two synthetic rosters made searchable, and the product's story told on real demands."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.cli.progress import bars, told
from lakehouse.cli.tree import Commands
from lakehouse.errors import NotFound

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.cli._narration import Narrator

FOLDER = "lake-demo"
SIZES = {"workers": 5_000, "ethereal_workers": 10_000}
# The resume tells of skills and certifications in a person's own words. Fewer words are fewer minutes of the first run.
_TEXT = ["role", "resume"]
_MADE_FROM = "demo/made-from.json"


def add(commands: Commands) -> None:
    """Add the command of this module."""
    demo = commands.command(
        "demo",
        _demo,
        "build two rosters and see the product at work on real demands",
        more="Embedded, without keys or services. The first run builds for some minutes; later runs use what is\n"
        "there. The exit code is 1 when a step does not do what it says.",
    )
    demo.add_argument("--data", default=FOLDER, metavar="FOLDER", help=f"where the data goes (default: {FOLDER})")


def _demo(arguments: argparse.Namespace) -> int:
    from lakehouse import settings
    from lakehouse.app import connect
    from lakehouse.cli._narration import Narrator
    from lakehouse.cli._story import Story

    config = settings.load(arguments.config, overrides={"data": arguments.data})
    narrator = Narrator()
    narrator.say(
        f"Two synthetic rosters, {SIZES['workers']:,} and {SIZES['ethereal_workers']:,} invented people with real"
        f" titles, tools and places; everything in this process and in the folder {arguments.data}."
    )
    started = time.perf_counter()
    with connect(config=config) as lake:
        prepare(lake, narrator, today=date.today())  # noqa: DTZ011 - the user's own day
        prepared = time.perf_counter()
        Story(lake, narrator).tell()
    told_at = time.perf_counter()
    print()
    narrator.say(f"Prepared in {prepared - started:.0f} s, told in {told_at - prepared:.1f} s.")
    return end(narrator, arguments.data, f"http://{config.server.host}:{config.server.port}/")


def prepare(lake: Lakehouse, narrator: Narrator, *, today: date, sizes: Mapping[str, int] = SIZES) -> None:
    """Bring both rosters and their corpora to where the story needs them; what is there already is kept."""
    from tempfile import TemporaryDirectory

    from lakehouse.cli._story import CORPORA
    from lakehouse.staffing import roster

    current = {each.name: each for each in lake.corpora.list().corpora if not each.stale and each.text_columns == _TEXT}
    # Certifications are to be valid and people available in the month of the demo.
    reference = today.replace(day=1)
    made_from = _made_from(lake)
    for seed, (name, prefix) in enumerate(CORPORA.items(), 1):
        origin = {"people": sizes[name], "seed": seed, "of": reference.isoformat(), "by": roster.fingerprint()}
        if name in current and made_from.get(name) == {**origin, "snapshot": current[name].snapshot_id}:
            narrator.say(f"{name}: {current[name].items:,} people, here already.")
            continue
        with TemporaryDirectory() as scratch, bars(name):
            file = Path(scratch) / f"{name}.csv"
            roster.write(file, sizes[name], seed, progress=told("inventing"), reference=reference)
            report = lake.ingest.file(file, name)
            kept = [column.name for column in lake.catalog.dataset(name).schema if column.name != "id"]
            built = lake.corpora.build(name, name, "id", prefix, _TEXT, kept)
        narrator.say(f"{name}: {report.rows:,} people, {built.embedded:,} texts embedded, {built.reused:,} known.")
        made_from[name] = {**origin, "snapshot": str(lake.catalog.dataset(name).snapshot_id)}
        lake.storage.put(_MADE_FROM, msgspec.json.encode(made_from))


def _made_from(lake: Lakehouse) -> dict[str, dict[str, Any]]:
    """Return what the rosters were made from, so that the same need not be made again only to be compared."""
    try:
        return msgspec.json.decode(lake.storage.get(_MADE_FROM), type=dict[str, dict[str, Any]])
    except (NotFound, msgspec.DecodeError):
        return {}


def end(narrator: Narrator, data: str, console: str) -> int:
    """Print what did not hold and what to type next; return the exit code."""
    for unmet in narrator.unmet:
        narrator.say(f"NOT SO: {unmet}")
    print("\nWhat to type next:")
    print(f"  lakehouse up --data {data}    then open {console} and paste a demand")
    print(f'  lakehouse search --lake {data} "Need 4 line cooks in Austin TX, evenings, ServSafe"')
    print(f'  lakehouse sql --lake {data} "FROM workers SELECT role, count(*) GROUP BY role ORDER BY 2 DESC LIMIT 10"')
    print("  lakehouse ingest roster.csv --name mine    your own people; see docs/command-line.md")
    return 1 if narrator.unmet else 0
