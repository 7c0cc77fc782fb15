"""A full audit as a page: Markdown and HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from lakehouse.learn.audit.base import AuditReport

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid #ccc}"
)
_PHASES = ("", "phase", "verdict", "metrics", "findings", "how to mend")
_CHANGES = ("metric", "against", "baseline", "now", "change", "verdict")


def markdown(report: AuditReport) -> str:
    """Return the report as Markdown."""
    parts = [f"# Audit of {report.time}: {report.verdict}", "", *_table(_PHASES, _phases(report))]
    changes = _changes(report)
    if changes:
        parts += ["", "## Against the baselines", "", *_table(_CHANGES, changes)]
    return "\n".join([*parts, ""])


def page(report: AuditReport) -> str:
    """Return the report as one HTML page that needs nothing else."""
    parts = [f"<h1>Audit of {html.escape(report.time)}: {report.verdict}</h1>", _html_table(_PHASES, _phases(report))]
    changes = _changes(report)
    if changes:
        parts += ["<h2>Against the baselines</h2>", _html_table(_CHANGES, changes)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Audit: {report.verdict}</title>'
        f"<style>{_STYLE}</style>\n{body}\n</html>\n"
    )


def _phases(report: AuditReport) -> list[tuple[str, ...]]:
    return [
        (
            str(phase.number),
            phase.name,
            phase.verdict,
            ", ".join(f"{name} {value:g}" for name, value in phase.metrics.items()),
            "; ".join(phase.findings),
            phase.mend,
        )
        for phase in report.phases
    ]


def _changes(report: AuditReport) -> list[tuple[str, ...]]:
    return [
        (
            each.metric,
            each.against,
            _number(each.baseline),
            _number(each.now),
            "" if each.change is None else f"{each.change:+.1f} %",
            each.verdict,
        )
        for each in report.changes
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells]


def _html_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"
