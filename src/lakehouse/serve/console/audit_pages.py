"""A person's data under audit: what is kept and why, who saw it and when, whether the record holds, and erasure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.ledger.base import AuditRow, Consent, Receipt, Subject, Verification
from lakehouse.serve.console import people, security
from lakehouse.serve.console.people import Somebody
from lakehouse.serve.console.site import Pages, Sent, View, asked, may

_NEWEST = 100
_CONSENTS = ("unknown", "given", "withdrawn")
_DONE = {
    "search": "found by a search",
    "view": "opened",
    "sql": "read by SQL",
    "export": "exported",
    "remember": "outcome recorded",
    "fill": "proposed in a fill",
    "message": "written to",
    "manifest": "manifest changed",
    "erase": "erasure",
}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one kind that follow one another on one day. `first` and `last` are their numbers."""

    day: str
    time: str
    done: str
    result: str
    who: str
    purpose: str
    fields: list[str]
    first: int
    last: int


class AuditView(View, kw_only=True):
    """What the page shows.

    Attributes:
        who: Id or name as typed.
        people: Those who fit, when more than one does.
        moments: The newest rows, newest first; `total` counts all rows.
        by_name, notes, erases: What whoever looks may do: find people by name, say what holds of them, erase them.
        receipt: Of an erasure, and `signed`, the same as JSON to be kept.
    """

    who: str = ""
    people: list[Somebody] = msgspec.field(default_factory=list)
    somebody: Somebody | None = None
    subject: Subject | None = None
    verification: Verification | None = None
    by_name: bool = True
    notes: bool = True
    erases: bool = True
    moments: list[Moment] = msgspec.field(default_factory=list)
    total: int = 0
    receipt: Receipt | None = None
    signed: str = ""
    consents: tuple[str, ...] = _CONSENTS


class AuditPages(Pages):
    """The pages below `/audit`."""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/audit", self.open, methods=["GET"]),
            Route("/audit", self.act, methods=["POST"]),
            Route("/audit/log", self.export, methods=["GET"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show one person's audit, or those a name may mean."""
        view = _view(asked(request).one("who"))
        return await self._site.show(request, "audit.html", view, self._fill)

    async def act(self, request: Request) -> Response:
        """Change what is said about a person, or erase them."""
        view = _view()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        view.who = sent.one("id")
        return await self._site.show(request, "audit.html", view, functools.partial(self._act, sent))

    async def export(self, request: Request) -> Response:
        """Give a person's chain byte for byte, to be checked elsewhere."""
        id = asked(request).one("id")
        headers = {**security.HEADERS, "Cache-Control": "no-store"}
        try:
            log = await run_in_threadpool(self._site.lake.subjects.audit_log, id)
        except LakehouseError as error:
            return await self._site.show(request, "audit.html", AuditView(who=id, trouble=error), lambda _: None)
        name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in id)[:64]
        headers["Content-Disposition"] = f'attachment; filename="audit-{name}.jsonl"'
        return Response(log, 200, headers, "application/x-ndjson")

    def _act(self, sent: Sent, view: AuditView) -> None:
        acts: dict[str, Callable[[Sent, AuditView], None]] = {"erase": self._erase, "manifest": self._put}
        act = next((work for name, work in acts.items() if name in sent), None)
        if act is not None and view.trouble is None:
            try:
                act(sent, view)
            except LakehouseError as error:
                view.trouble = error
        if view.who:
            self._fill(view)

    def _erase(self, sent: Sent, view: AuditView) -> None:
        if sent.one("confirm") != view.who:
            raise InvalidInput(
                f"Nothing was erased: type the id {view.who} into the field to say that you mean it.", field="confirm"
            )
        reason = sent.one("reason")
        lake = self._site.lake
        receipt = lake.subjects.erase(view.who, reason) if reason else lake.subjects.erase(view.who)
        view.receipt = receipt
        view.signed = msgspec.json.format(msgspec.json.encode(receipt), indent=2).decode()
        view.notice = f"{view.who} was erased."

    def _put(self, sent: Sent, view: AuditView) -> None:
        self._site.lake.subjects.put(
            id=view.who,
            identity=sent.one("identity"),
            purposes=[word.strip() for word in sent.one("purposes").split(",") if word.strip()],
            consent=cast(Consent, sent.one("consent", "unknown")),
            retain_until=sent.one("retain_until"),
            legal_hold=sent.one("legal_hold"),
        )
        view.notice = f"What holds of {view.who} is noted."

    def _fill(self, view: AuditView) -> None:
        if not view.who:
            return
        lake = self._site.lake
        # Names are looked up by SQL, which an auditor may not ask: they look by id.
        found = people.find(lake, lake.corpora.list().corpora, view.who) if may("sql.query") else []
        if len(found) == 1:
            view.somebody = found[0]
            view.who = found[0].id
        elif found:
            view.people = found
            return
        view.subject = lake.subjects.get(view.who)
        view.verification = lake.subjects.verify(view.who)
        total = lake.subjects.audit(view.who, limit=1).total
        audit = lake.subjects.audit(view.who, after=max(0, total - _NEWEST), limit=_NEWEST)
        view.total, view.moments = audit.total, moments(audit.rows)


def _view(who: str = "") -> AuditView:
    return AuditView(who=who, by_name=may("sql.query"), notes=may("subjects.put"), erases=may("subjects.erase"))


def moments(rows: list[AuditRow]) -> list[Moment]:
    """Return rows newest first, those of one kind that follow one another on one day as one."""
    found: list[Moment] = []
    for row in reversed(rows):
        one = _moment(row)
        last = found[-1] if found else None
        if last and (last.day, last.done, last.result, last.who, last.purpose, last.fields) == (
            one.day,
            one.done,
            one.result,
            one.who,
            one.purpose,
            one.fields,
        ):
            found[-1] = msgspec.structs.replace(last, first=row.seq)
        else:
            found.append(one)
    return found


def _moment(row: AuditRow) -> Moment:
    day, _, time = row.time.partition("T")
    who = row.accessor.get("id") or row.accessor.get("kind") or "unknown"
    return Moment(
        day=day,
        time=time[:5],
        done=_DONE.get(row.action, row.action),
        result="" if row.result == "shown" else row.result,
        who=who,
        purpose=row.purpose,
        fields=row.fields,
        first=row.seq,
        last=row.seq,
    )
