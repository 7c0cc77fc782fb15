"""Make the role vocabulary that ships with lakehouse from O*NET and the H-2B demands.

    python data/make_onet.py --source ../shared/data

writes beside this file, the same source giving the same bytes:

    onet_occupations.csv.gz  code, title, description, related (codes of the primary tier, nearest first),
                             demands (H-2B demands of the SOC code, 2015 to 2018), pay_low, pay_mid,
                             pay_high (10th, 50th and 90th percentile of their hourly pay, US dollars)
    onet_titles.csv.gz       title, its normalised form (empty when lower case alone gives it), codes it stands
                             for, codes whose workers reported it
    onet_terms.csv.gz        code, the stems that tell its description and tasks from others', with weights
    onet_tasks.csv.gz        code, task, core tasks first
    onet_tools.csv.gz        code, tool or software
    h2b_titles.csv.gz        title as employers wrote it, SOC code, demands; of the shipped sample only

Run `make.py` first: the last file is counted from the sample it writes. Where each set comes from and on
what terms is in `ATTRIBUTION.md`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from lakehouse.staffing._role_text import stem, telling, words  # noqa: E402 - found through the path set above

TERMS_PER_CODE = 50
# BM25's usual constants: how soon a repeated term stops counting, how much a long text is discounted.
SATURATION, LENGTH_DISCOUNT = 1.2, 0.75
_VARIANT = re.compile(r"^(.*?)\s*\((.*?)\)\s*(.*)$")
_HOURLY_PAY = (5.0, 80.0)

Rows = Iterable[Sequence[object]]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the shipped files and say how many rows each has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE.parent.parent / "shared" / "data")
    source: Path = parser.parse_args(argv).source
    onet = source / "onet"
    occupations = list(_tab_separated(onet / "Occupation_Data.txt.gz"))
    demands = list(_comma_separated(source / "h2b_demands" / "h2b_demands_fy2015_2018.csv.gz"))
    tasks = sorted(
        _tab_separated(onet / "Task_Statements.txt.gz"),
        key=lambda row: (row["O*NET-SOC Code"], row["Task Type"] != "Core", -_number(row["Incumbents Responding"])),
    )
    tables: dict[str, tuple[Sequence[str], Rows]] = {
        "onet_occupations": (
            ("code", "title", "description", "related", "demands", "pay_low", "pay_mid", "pay_high"),
            _occupations(occupations, _tab_separated(onet / "Related_Occupations.txt.gz"), demands),
        ),
        "onet_titles": (("title", "key", "codes", "reported"), _titles(occupations, onet)),
        "onet_terms": (("code", "terms", "weights"), _terms(occupations, tasks)),
        "onet_tasks": (("code", "task"), ((row["O*NET-SOC Code"], row["Task"]) for row in tasks)),
        "onet_tools": (("code", "tool"), _tools(onet)),
        "h2b_titles": (("title", "soc", "demands"), _employer_titles(HERE / "h2b_demands_sample.csv.gz")),
    }
    for name, (header, rows) in tables.items():
        print(f"{name}: {_write(HERE / f'{name}.csv.gz', header, rows)} rows")


def _tab_separated(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _comma_separated(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _write(path: Path, header: Sequence[str], rows: Rows) -> int:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    return count


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _occupations(
    occupations: Sequence[dict[str, str]], related: Iterable[dict[str, str]], demands: Sequence[dict[str, str]]
) -> Iterator[Sequence[object]]:
    near: dict[str, list[str]] = defaultdict(list)
    for row in related:
        if row["Relatedness Tier"].startswith("Primary"):
            near[row["O*NET-SOC Code"]].append(row["Related O*NET-SOC Code"])
    count = Counter(row["soc_code"][:7] for row in demands)
    pay: dict[str, list[float]] = defaultdict(list)
    for row in demands:
        rate = _number(row["pay_rate"])
        if row["pay_unit"] == "Hour" and _HOURLY_PAY[0] <= rate <= _HOURLY_PAY[1]:
            pay[row["soc_code"][:7]].append(rate)
    for row in occupations:
        code = row["O*NET-SOC Code"]
        rates = sorted(pay[code[:7]])
        percentiles = (
            [f"{rates[int(share * (len(rates) - 1))]:.2f}" for share in (0.1, 0.5, 0.9)] if rates else [""] * 3
        )
        yield code, row["Title"], row["Description"], " ".join(near[code]), count[code[:7]], *percentiles


def _titles(occupations: Sequence[dict[str, str]], onet: Path) -> Iterator[Sequence[object]]:
    """Yield each title once: those of one normalised form are one, in the spelling that comes first."""
    codes: dict[str, list[str]] = defaultdict(list)
    reported: dict[str, list[str]] = defaultdict(list)
    spelling: dict[str, str] = {}

    def add(title: str, code: str, into: dict[str, list[str]]) -> None:
        for variant in _variants(title):
            key = " ".join(words(variant))
            if key:
                spelling.setdefault(key, variant)
                into[key].append(code)

    for row in occupations:
        add(row["Title"], row["O*NET-SOC Code"], codes)
    for row in _tab_separated(onet / "Sample_of_Reported_Titles.txt.gz"):
        add(row["Reported Job Title"], row["O*NET-SOC Code"], codes)
        add(row["Reported Job Title"], row["O*NET-SOC Code"], reported)
    for row in _tab_separated(onet / "Alternate_Titles.txt.gz"):
        add(row["Alternate Title"], row["O*NET-SOC Code"], codes)
        if row["Short Title"] != "n/a":
            add(row["Short Title"], row["O*NET-SOC Code"], codes)
    for key in sorted(spelling):
        title = spelling[key]
        written = "" if title.lower() == key else key
        yield title, written, " ".join(sorted(set(codes[key]))), " ".join(sorted(set(reported[key])))


def _variants(title: str) -> list[str]:
    """Return both readings of "CAT Driver (Caterpillar Driver)"."""
    match = _VARIANT.match(title)
    return [f"{match[1]} {match[3]}".strip(), match[2]] if match else [title]


def _terms(occupations: Sequence[dict[str, str]], tasks: Iterable[dict[str, str]]) -> Iterator[Sequence[object]]:
    """Yield the stems of title, description and tasks of each code with the highest BM25 weights."""
    texts: dict[str, list[str]] = {
        row["O*NET-SOC Code"]: [stem(word) for word in telling(words(f"{row['Title']} {row['Description']}"))]
        for row in occupations
    }
    for row in tasks:
        texts[row["O*NET-SOC Code"]] += [stem(word) for word in telling(words(row["Task"]))]
    having = Counter(term for text in texts.values() for term in set(text))
    mean = sum(len(text) for text in texts.values()) / len(texts)
    for code, text in texts.items():
        damping = SATURATION * (1 - LENGTH_DISCOUNT + LENGTH_DISCOUNT * len(text) / mean)
        weights = {
            term: math.log(1 + len(texts) / (having[term] + 0.5)) * count * (SATURATION + 1) / (count + damping)
            for term, count in Counter(text).items()
        }
        best = sorted(weights, key=lambda term: (-weights[term], term))[:TERMS_PER_CODE]
        yield code, " ".join(best), " ".join(str(round(100 * weights[term])) for term in best)


def _tools(onet: Path) -> Iterator[Sequence[object]]:
    """Yield tools and software, each once a code, as O*NET lists them."""
    found: dict[tuple[str, str], None] = {}
    for name in ("Tools_Used", "Technology_Skills"):
        for row in _tab_separated(onet / f"{name}.txt.gz"):
            found[row["O*NET-SOC Code"], row["Example"]] = None
    return iter(sorted(found, key=lambda pair: pair[0]))


def _employer_titles(sample: Path) -> Iterator[Sequence[object]]:
    count = Counter(
        (" ".join(row["job_title"].lower().split()), row["soc_code"][:7]) for row in _comma_separated(sample)
    )
    for (title, soc), demands in sorted(count.items()):
        yield title, soc, demands


if __name__ == "__main__":
    main()
