"""How well demands are read: every field of generated lines against what they say.

python -m lakehouse.evals.parsing --rows ../shared/data/h2b_demands/h2b_demands_fy2015_2018.csv.gz --years 2018
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from lakehouse.evals._wordings import WORDINGS, TemplateSet
from lakehouse.evals.demand_lines import STYLES, Line, contracts, lines
from lakehouse.staffing.demand import Demand, Style
from lakehouse.staffing.parse import Parser
from lakehouse.staffing.titles import role_equal

FIELDS = ("role", "count", "city", "state", "certs", "shift", "start", "client", "style")
_OPTIONAL = ("certs", "skills", "shift", "start", "client")


class Failure(msgspec.Struct, frozen=True):
    """One field read wrongly."""

    style: Style
    field: str
    expected: str
    found: str
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run found.

    Attributes:
        lines: Lines per style.
        right: Per style and field, the share of lines on which the field is exactly right; role without case
            and plural, city and client without case.
        invented: Lines with a value in a field that the line does not say.
        median_us: Median time of one parse in microseconds.
        failures: Every field that is wrong, in order.
        invented_in: The lines with an invented field, each after the field's name and value.
    """

    wording: TemplateSet
    lines: dict[Style, int]
    right: dict[Style, dict[str, float]]
    invented: int
    median_us: float
    failures: list[Failure]
    invented_in: list[str]


def evaluate(parser: Parser, asked: Iterable[Line], *, wording: TemplateSet) -> Report:
    """Parse every line and compare every field."""
    seen: Counter[Style] = Counter()
    right: Counter[tuple[Style, str]] = Counter()
    failures: list[Failure] = []
    took: list[float] = []
    invented: list[str] = []
    for line in asked:
        began = time.perf_counter()
        demand = parser.parse(line.text)
        took.append(time.perf_counter() - began)
        seen[line.style] += 1
        unsaid = {field: getattr(demand, field) for field in _OPTIONAL if _invented(line, demand, field)}
        if unsaid:
            invented.append(f"{unsaid}: {line.text}")
        expected, found = _expected(line), _found(demand)
        for field in FIELDS:
            if _same(field, expected[field], found[field]):
                right[line.style, field] += 1
            else:
                failures.append(Failure(line.style, field, str(expected[field]), str(found[field]), line.text))
    shares = {style: {field: right[style, field] / seen[style] for field in FIELDS} for style in STYLES if seen[style]}
    return Report(
        wording=wording,
        lines=dict(seen),
        right=shares,
        invented=len(invented),
        median_us=statistics.median(took) * 1e6,
        failures=failures,
        invented_in=invented,
    )


def _expected(line: Line) -> dict[str, object]:
    return {field: getattr(line, field) for field in FIELDS} | {"certs": sorted(line.certs)}


def _found(demand: Demand) -> dict[str, object]:
    place = demand.location
    found: dict[str, object] = {field: getattr(demand, field, None) for field in FIELDS}
    return found | {
        "city": place.city if place else None,
        "state": place.state if place else None,
        "certs": sorted(demand.certs),
    }


def _same(field: str, expected: object, found: object) -> bool:
    if isinstance(expected, str) and isinstance(found, str):
        if field == "role":
            return role_equal(expected, found)
        # A final stop may be the sentence's or the name's.
        return expected.casefold().rstrip(".,") == found.casefold().rstrip(".,")
    return expected == found


def _invented(line: Line, demand: Demand, field: str) -> bool:
    """Tell whether the demand has something in a field that the line leaves unsaid."""
    found = getattr(demand, field)
    if field == "skills":
        return any(skill.casefold() not in " ".join(line.text.split()).casefold() for skill in found)
    if field == "certs":
        return not set(found) <= set(line.certs)
    return getattr(line, field) is None and found is not None


def table(report: Report) -> str:
    """Return a report as the rows of a table."""
    rows = [f"{report.wording} wording, {sum(report.lines.values())} lines"]
    rows.append(f"{'':14}" + "".join(f"{field:>9}" for field in FIELDS))
    for style, shares in report.right.items():
        rows.append(f"{style:14}" + "".join(f"{shares[field]:9.2%}" for field in FIELDS))
    rows.append(f"lines with an invented field: {report.invented}; median parse: {report.median_us:.0f} us")
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the evaluation on every wording and print what it found."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--rows", type=Path, help="CSV of demands, - for standard input; the shipped sample by default"
    )
    options.add_argument("--years", nargs="*", default=["2018"], help="fiscal years to draw from")
    options.add_argument("--lines", type=int, default=8_000, help="lines per wording")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--wording", choices=[*WORDINGS], action="append", help="all sets by default")
    options.add_argument("--failures", type=int, default=0, help="how many wrong fields to print per wording")
    chosen = options.parse_args(argv)
    parser = Parser.shipped()
    found = contracts(chosen.rows, chosen.years)
    for wording in chosen.wording or WORDINGS:
        asked = lines(found, number=chosen.lines, seed=chosen.seed, wording=wording)
        report = evaluate(parser, asked, wording=wording)
        print(table(report))
        for text in report.invented_in[: chosen.failures]:
            print(f"  invented: {text!r}")
        for failure in report.failures[: chosen.failures]:
            print(f"  {failure.style} {failure.field}: {failure.expected!r} != {failure.found!r}\n    {failure.text!r}")


if __name__ == "__main__":
    main()
