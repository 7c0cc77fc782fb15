"""What the lift is measured on: real (client, city) clusters across roles, and a roster with people for them."""

from __future__ import annotations

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from lakehouse.evals.demand_lines import STYLES, Contract, Line, line
from lakehouse.staffing import roster
from lakehouse.staffing._gazetteer import read_states
from lakehouse.staffing._roster_market import Market
from lakehouse.staffing._roster_row import row
from lakehouse.staffing.demand import Style
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles
from lakehouse.staffing.shipped import shipped
from lakehouse.staffing.titles import role_key
from lakehouse.staffing.worker import COLUMNS, SEPARATOR

Part = Literal["all", "tune", "held"]
_SURE = 0.5
_LASTING = "2030-01-01"


class Cluster(msgspec.Struct, frozen=True):
    """One client in one city and what it asked for: contracts of two or more roles with different SOC codes."""

    client: str
    city: str
    state: str
    contracts: list[Contract]


class Wanted(msgspec.Struct, frozen=True):
    """One demand of the evaluation. `code` is the occupation when employer and resolver agree on it, else empty."""

    cluster: int
    contract: Contract
    line: Line
    code: str


def part_of(client: str) -> Part:
    """Return the half that a client is in, by a hash of the name: in every year and city the same."""
    # Not by `client_key`: whatever else that leaves out one day, nobody may move from one half to the other.
    name = " ".join(client.casefold().replace(",", " ").split()).rstrip(".")
    return "held" if hashlib.sha256(name.encode()).digest()[0] % 2 else "tune"


def clusters(contracts: Sequence[Contract], year: int, *, part: Part = "all") -> list[Cluster]:
    """Return the clusters of these contracts, one contract per role; starts are moved to `year`."""
    contracts = [each for each in contracts if part in {"all", part_of(each.client)}]
    found: dict[tuple[str, str, str], dict[str, Contract]] = defaultdict(dict)
    for contract in contracts:
        moved = msgspec.structs.replace(contract, date=f"{year}{contract.date[4:]}" if contract.date else "")
        key = (contract.client.casefold(), contract.city.casefold(), contract.state)
        found[key].setdefault(role_key(contract.role), moved)
    return [
        Cluster(first.client, first.city, first.state, list(roles.values()))
        for roles in found.values()
        if len({contract.soc for contract in roles.values() if contract.soc}) > 1
        for first in [next(iter(roles.values()))]
    ]


def chosen(found: Sequence[Cluster], *, number: int, demands: int, seed: int, places: Places) -> list[Cluster]:
    """Draw clusters in known cities until there are `number` of them with `demands` roles, or none are left."""
    draw = random.Random(seed)
    order = draw.sample(range(len(found)), len(found))
    taken: list[Cluster] = []
    for at in order:
        if len(taken) >= number and sum(len(cluster.contracts) for cluster in taken) >= demands:
            break
        if places.city(found[at].city, found[at].state) is not None:
            taken.append(found[at])
    return taken


def wanted(found: Sequence[Cluster], roles: Roles, seed: int) -> list[Wanted]:
    """Return one demand line per role of each cluster, the four styles in turn."""
    draw = random.Random(seed)
    names = states()
    made: list[Wanted] = []
    for number, cluster in enumerate(found):
        for contract in cluster.contracts:
            style = STYLES[len(made) % len(STYLES)]
            made.append(Wanted(number, contract, line(contract, style, draw, states=names), sure_code(contract, roles)))
    return made


def in_all_styles(contract: Contract, seed: int) -> Iterator[tuple[Style, str]]:
    """Yield a contract's line in each of the four styles."""
    names = states()
    for style in STYLES:
        yield style, line(contract, style, random.Random(seed), states=names).text


def sure_code(contract: Contract, roles: Roles) -> str:
    """Return the occupation on which employer and resolver agree, the latter more likely than not; else nothing."""
    match = roles.resolve(contract.role)
    agreed = match is not None and match.code[:7] == contract.soc and match.score >= _SURE
    return match.code if agreed and match is not None else ""


def states() -> dict[str, str]:
    """Return the names of states by code."""
    return {code: name for code, (name, _) in read_states(shipped("us_states.csv")).items()}


def write_roster(path: Path, asked: Sequence[Wanted], *, others: int, each: int, seed: int, roles: Roles) -> int:
    """Write a roster: `others` people from anywhere, then `each` people of every wanted occupation in its city.

    Half of the latter hold what their demand wants and work its shift: the clients there have wanted it before.

    Returns:
        The number of people. Occupations for which nobody can be invented have no people of their own.
    """
    roster.write(path, others, seed)
    market, draw, places = Market(), random.Random(seed + 1), Places.shipped()
    count = others
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for want in asked:
            city = places.city(want.contract.city, want.contract.state)
            match = roles.resolve(want.contract.role)
            job = market.job(match.code) if match else None
            if job is None or city is None:
                continue
            for nth in range(each):
                count += 1
                values = dict(zip(COLUMNS, row(draw, count, job, city, roster.REFERENCE), strict=True))
                if nth % 2:
                    _suit(values, want.line)
                rows.writerow(["" if value is None else str(value) for value in values.values()])
    return count


def _suit(values: dict[str, Any], line: Line) -> None:
    """Give a person the certifications and the shift that a line asks for."""
    if line.certs:
        values["certs"] = SEPARATOR.join(line.certs)
        values["cert_expiry"] = SEPARATOR.join([_LASTING] * len(line.certs))
    if line.shift:
        values["shifts"] = SEPARATOR.join(dict.fromkeys([line.shift, "day"]))
