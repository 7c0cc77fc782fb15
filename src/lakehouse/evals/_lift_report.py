"""A lift report as text."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.evals._lift_shapes import Poison, Query, Report

# What the earlier editions reported, by the line of the table.
_EARLIER = {
    "discoveries": "8 of 21",
    "verbatim": "7 of 8",
    "paraphrase": "6 of 6",
    "quality": "5 better, 13 equal, 3 worse of 21",
    "worst": "-3",
    "bleed": "0 on 40 queries, with a model",
    "handover": "4 of 4 / 4 of 4",
}


def rows(report: Report) -> list[tuple[str, str, str]]:
    """Return the lines of the table: what, this run, the earlier editions."""
    paraphrase = ", ".join(f"{kind} {share.text}" for kind, share in report.paraphrase.items())
    found = [
        ("demands; clusters; people", f"{report.demands:,}; {report.clusters:,}; {report.people:,}", "21 queries"),
        ("answers recorded (rated 3 or better)", f"{report.recorded:,}", ""),
        ("discoveries (the judge's choice was not first)", f"{report.discoveries:,}", _EARLIER["discoveries"]),
        ("recorded answer first, same words, discoveries", report.verbatim.text, _EARLIER["verbatim"]),
        ("recorded answer first, same words, all", report.verbatim_all.text, ""),
        ("recorded answer first, other words", paraphrase, _EARLIER["paraphrase"]),
        ("the same, discoveries", report.paraphrase_discoveries.text, ""),
        (
            "rating of who is first, warm against cold",
            f"{report.lifted} better, {report.neutral} equal, {report.regressed} worse",
            _EARLIER["quality"],
        ),
        ("largest loss of rating", str(min(0, report.worst)), _EARLIER["worst"]),
        ("boosts; injects", f"{report.boosts:,}; {report.injects:,}", "9 boosts"),
        ("mean change of the first one's distance", f"{report.mean_distance_change:+.4f}", "-0.053 to -0.164"),
        (
            "cross-role bleed inside a (client, city) cluster",
            f"{sum(each.same_cluster for each in report.bleeds)} on {report.bleed_queries:,} queries",
            _EARLIER["bleed"],
        ),
        (
            "from other clusters, another title and SOC code",
            f"{sum(not each.same_cluster for each in report.bleeds)} on {report.bleed_queries:,} queries",
            "",
        ),
        (
            "handover, same / other words",
            f"{report.handover_verbatim.text} / {report.handover_paraphrase.text}",
            _EARLIER["handover"],
        ),
        ("hits without handover", f"{report.isolation_hits} on {report.isolation_queries:,} queries", ""),
    ]
    found += [(f"same bytes, {when}", share.text, "1.000") for when, share in report.deterministic.items()]
    return found + _more(report)


def _more(report: Report) -> list[tuple[str, str, str]]:
    found = []
    if report.poison is not None:
        found += hostile(report.poison)
    if report.agreement is not None:
        agreement = report.agreement
        kappa = "not defined" if agreement.kappa is None else f"{agreement.kappa:.3f}"
        pairs = f"{agreement.pairs:,} pairs ({agreement.same:,} the same, {agreement.unanswered:,} unanswered)"
        found.append(
            (
                f"rules and {agreement.model}, weighted kappa",
                f"{kappa} on {pairs}",
                "",
            )
        )
    return found


def hostile(poison: Poison) -> list[tuple[str, str, str]]:
    """Return the lines about hostile entries."""
    return [
        (
            "hostile entries",
            f"{poison.tried:,} tried, {poison.kept:,} kept, {poison.phantoms_refused:,} phantoms refused",
            "",
        ),
        (
            "clean queries they changed",
            f"{len(poison.changed)} of {poison.queries:,}, and {poison.changed_honestly} where every gate passed",
            "",
        ),
    ]


def changed(poison: Poison) -> list[str]:
    """Return every clean query that was changed, with the entries that did it and their gates, as Markdown."""
    return [
        *_changed("Clean queries that hostile entries changed", poison, honest=False),
        *_changed("Clean queries changed by entries that passed every gate", poison, honest=True),
    ]


def table(report: Report) -> str:
    """Return the table for a terminal."""
    return aligned(rows(report))


def aligned(lines: Sequence[tuple[str, str, str]]) -> str:
    """Return lines of a table for a terminal, without what earlier editions reported."""
    width = max(len(what) for what, _, _ in lines)
    return "\n".join(f"{what:{width}}  {now}" for what, now, _ in lines)


def _drawn(report: Report) -> list[str]:
    """Return what the demands and the people were drawn from, and whether there were as many as asked for."""
    drawn = report.drawn
    short = report.demands < drawn.demands_asked or report.clusters < drawn.clusters_asked
    return [
        f"Drawn from {drawn.source}: {drawn.rows:,} rows, {drawn.of_years:,} of these years,",
        f"{drawn.usable:,} of them usable, {drawn.clusters:,} clusters.",
        f"Asked for {drawn.demands_asked:,} demands and {drawn.clusters_asked:,} clusters"
        + (", **which there are not**." if short else "."),
        f"The roster is synthetic: {drawn.others:,} people from anywhere,",
        f"{drawn.each} of each wanted occupation in its city.",
    ]


def markdown(report: Report, plots: Sequence[str] = ()) -> str:
    """Return the whole report."""
    said = [
        "# What memory does for real demands",
        "",
        f"Demands of {', '.join(report.years)}, clients: {report.part}, seed {report.seed};",
        f"the first {report.k} of each search.",
        *_drawn(report),
        "The judge is the rating by rules; among equals it takes the most years of experience.",
        "",
        "| | this run | earlier editions |",
        "| --- | --- | --- |",
        *(f"| {what} | {now} | {earlier} |" for what, now, earlier in rows(report)),
        "",
    ]
    said += [f"![{name}]({name})\n" for name in plots if name.endswith(".png")]
    said += _listed("Queries with a worse rating than before", [q for q in report.queries if _worse(q)])
    said += _listed(
        "Recorded answer not first for the same words", [q for q in report.queries if q.recorded and not q.verbatim]
    )
    said += ["## Recorded answer not first for other words", ""]
    missed = [(q, *said) for q in report.queries for said in q.paraphrases if said[2] != 1]
    said += [
        f"- {kind}, {f'place {rank}' if rank else 'not among them'}: {_line(text)} (recorded: {_line(query.text)})"
        for query, kind, text, rank in missed
    ] or ["None."]
    said += ["", "## Cross-role bleed", ""]
    said += [
        f"- {each.client}, {each.place}, {each.style}: asked {each.asked}, {each.effect} of {each.answer} recorded for "
        f"{each.recorded_for}{'' if each.same_cluster else ' in another cluster'}"
        for each in report.bleeds
    ] or ["None."]
    if report.poison is not None:
        said += changed(report.poison)
    return "\n".join(said) + "\n"


def _changed(title: str, poison: Poison, *, honest: bool) -> list[str]:
    lines = []
    for each in poison.changes:
        if each.honest == honest:
            lines.append(f"- {_line(each.query)}")
            lines += [
                f"  - {moved.answer} {'put in' if moved.before is None else f'from place {moved.before}'} to place "
                f"{moved.after}, rated {moved.rating}, {moved.effect}, gates {', '.join(moved.gates)}; entry of "
                f"{moved.by} for {moved.role or 'no role'}, score {moved.score:g}: {_line(moved.entry)}"
                for moved in each.moved
            ]
    return ["", f"## {title}", "", *(lines or ["None."])]


def _worse(query: Query) -> bool:
    return (query.warm.rating or 0) < (query.cold.rating or 0)


def _listed(title: str, queries: Sequence[Query]) -> list[str]:
    lines = [
        f"- {_line(query.text)}: first was {query.cold.id} ({query.cold.rating}, {query.cold.distance:.3f}), recorded "
        f"{query.recorded} ({query.recorded_rating}), first is {query.warm.id} ({query.warm.rating}, "
        f"{query.warm.distance:.3f}, {query.effect})"
        for query in queries
    ]
    return [f"## {title}", "", *(lines or ["None."]), ""]


def _line(text: str) -> str:
    return " ".join(text.split())
