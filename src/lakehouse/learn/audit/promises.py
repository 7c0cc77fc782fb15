"""Phases 10 to 12: memory helps and does not bleed, nobody in a fill is a phantom, the ledger is whole."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.learn.audit.base import Found, Lake
from lakehouse.ledger import verifier
from lakehouse.ledger.chains import LOG
from lakehouse.memory.base import Playbook
from lakehouse.staffing.rate import rate
from lakehouse.staffing.titles import role_equal

_SAMPLE = 50
# So many are looked at for those that must come back: each costs a parse.
_LOOKED_AT = 2_000
_K = 20
_LEAST_RECOVERED = 0.8
# The right role and certifications; the place may be far.
_FITS = 3
_AGAINST = frozenset({"rejected", "no_show"})


def memory(lake: Lake) -> Found:
    """Ask what is remembered again: each answer must come back, and none for another role."""
    everything = sorted(lake.rooms.playbooks.everything(), key=lambda entry: entry.id)[:_LOOKED_AT]
    due = {entry.id for entry in everything if _should_come_back(lake, entry)}
    entries = sorted(everything, key=lambda entry: entry.id not in due)[:_SAMPLE]
    found = Found(metrics={"p10_entries": len(entries)}, skipped="" if entries else "nothing is remembered yet")
    defined = {corpus.name for corpus in lake.rooms.corpora.defined()}
    asked = recovered = bleed = 0
    for nth, entry in enumerate(entries):
        if entry.corpus not in defined or lake.rooms.playbooks.held_out(entry.query_text):
            continue
        by_id = {each.id: each for each in lake.rooms.playbooks.own(entry.namespace)}
        other = _for_another_role(lake, entry, entries[nth + 1 :] + entries[:nth])
        for text in (entry.query_text, *([other] if other else [])):
            answer = lake.rooms.matrix.search(
                text, [entry.corpus], k=_K, use_playbook=True, playbook=entry.namespace, rate=False
            )
            bleed += sum(
                _bleeds(lake, text, by_id.get(match.memory.playbook_id))
                for match in answer.results
                if match.memory is not None and match.memory.effect != "none"
            )
            if text is entry.query_text and entry.id in due:
                asked += 1
                recovered += any(match.id == entry.answer_id for match in answer.results)
    if bleed:
        found.wrong.append(f"memory of another role acted on {bleed} results")
    share = recovered / asked if asked else 1.0
    if share < _LEAST_RECOVERED:
        found.doubtful.append(
            f"{asked - recovered} of {asked} remembered answers do not come back for their own demand"
        )
    found.metrics |= {"p10_asked": asked, "p10_recovered": round(share, 6), "p10_bleed": bleed}
    return found


def _should_come_back(lake: Lake, entry: Playbook) -> bool:
    """Tell whether an answer worked and fits its demand: memory rightly leaves out whom the demand itself refuses."""
    if entry.outcome in _AGAINST or entry.good <= entry.bad:
        return False
    person = lake.rooms.vectors.metadata(entry.corpus, entry.answer_id)
    if person is None:
        return True
    rating = rate(lake.rooms.demand.parse(entry.query_text), person).rating
    return rating is None or rating >= _FITS


def _for_another_role(lake: Lake, entry: Playbook, others: Sequence[Playbook]) -> str:
    """Return the demand of an entry with the role of another one in its place, empty when none has another."""
    demand = lake.rooms.demand.parse(entry.query_text)
    own = _occupation(lake, entry.role)
    role = next((each.role for each in others if each.role and _occupation(lake, each.role) != own), "")
    if "role" not in demand.spans or not role:
        return ""
    start, end = demand.spans["role"]
    return entry.query_text[:start] + role + entry.query_text[end:]


def _bleeds(lake: Lake, text: str, entry: Playbook | None) -> bool:
    """Tell whether an entry is for another role than a text states. Told apart here by role and occupation alone."""
    demand = lake.rooms.demand.parse(text)
    if entry is None or not entry.role or not demand.role:
        return False
    return not role_equal(demand.role, entry.role) and demand.role_code != _occupation(lake, entry.role)


def _occupation(lake: Lake, role: str) -> str:
    """Return the occupation that a role's words name: the one that its row states the gate has believed already."""
    match = lake.rooms.roles.resolve(role)
    return match.code if match else ""


def sessions(lake: Lake) -> Found:
    """Ask the alarm: accepted fills with somebody who is not in the roster. The answer must be empty."""
    if "sessions" not in lake.learning.logs:
        return Found(metrics={}, skipped="no log of sessions is kept")
    counted = lake.rooms.sql.query(
        "SELECT count(*), count(*) FILTER (status = 'accepted'),"
        " count(*) FILTER (schema IS NULL OR session_id IS NULL),"
        " count(*) FILTER (status = 'accepted' AND kind = 'fill' AND grounded_in_roster IS NOT TRUE) FROM sessions"
    ).rows[0]
    total, accepted, unreadable, phantoms = map(int, counted)
    found = Found(metrics={"p11_sessions": total, "p11_accepted": accepted, "p11_alarm": phantoms})
    if phantoms:
        found.wrong.append(f"{phantoms} accepted fills are not grounded in the roster")
    if unreadable:
        found.doubtful.append(f"{unreadable} rows of the log of sessions say neither schema nor session")
    return found


def ledger(lake: Lake) -> Found:
    """Check every row and checkpoint of the ledger with the verifier that stands alone."""
    if not (lake.rooms.ledger.folder / LOG).exists():
        return Found(metrics={"p12_rows": 0}, skipped="the ledger has no rows")
    report = verifier.verify(lake.rooms.ledger.folder, keys=lake.rooms.ledger.keys)
    found = Found(
        metrics={
            "p12_rows": report.rows,
            "p12_subjects": report.subjects,
            "p12_checkpoints": report.checkpoints,
        }
    )
    for name in ("integrity", "completeness", "freshness"):
        answer = getattr(report, name)
        if answer.ok is False:
            found.wrong.append(f"{name}: {answer.error}")
    return found
