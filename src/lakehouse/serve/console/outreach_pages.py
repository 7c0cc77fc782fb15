"""Writing to somebody about a demand: judged as it is typed, and only what passes can leave.

The audit of the person has one row for each text that could leave: one that a whole page gave links to, that was
saved, or of which a script says that a link or the copy is about to be used. Judging what is typed writes none.
"""

from __future__ import annotations

import functools
import hashlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse import caller
from lakehouse.demands.base import OUT, OpenDemand, Person
from lakehouse.errors import InvalidInput, LakehouseError, NotFound, WrongState
from lakehouse.serve.console import security
from lakehouse.serve.console.outreach import KINDS, Draft, Kind, Verdict, drafted, judged
from lakehouse.serve.console.site import COOKIE, Pages, Sent, Site, View, asked, may
from lakehouse.serve.console.written import written

_MOST_LEFT = 4_096


class OutreachView(View, kw_only=True):
    """What the page shows.

    Attributes:
        draft: As typed, or as the template or a model wrote it.
        verdict: What the validators say of it.
        model: That may write instead of the template, empty for none.
        unwritten: It was asked to and did not; `trouble` says why.
    """

    one: OpenDemand | None = None
    person: Person | None = None
    draft: Draft | None = None
    verdict: Verdict | None = None
    model: str = ""
    unwritten: bool = False


class OutreachPages(Pages):
    """The page below a demand where one of its people is written to.

    Args:
        site: What all pages share.
        model: That may write drafts, empty for none.
    """

    def __init__(self, site: Site, *, model: str) -> None:
        super().__init__(site)
        self._model = model
        # Fingerprints of the latest texts that have their row.
        self._left: dict[bytes, None] = {}

    def routes(self) -> list[Route]:
        """Return the routes of this page."""
        path = "/queue/demands/{id}/outreach"
        return [Route(path, self.open, methods=["GET"]), Route(path, self.judge, methods=["POST"])]

    async def open(self, request: Request) -> Response:
        """Show a draft from the template."""
        return await self._site.show(
            request,
            "outreach.html",
            OutreachView(),
            functools.partial(self._fill, request, asked(request), typed=False),
        )

    async def judge(self, request: Request) -> Response:
        """Judge what was typed, or have it written anew; what is exported is given as a file if it passes."""
        view = OutreachView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        part = request.headers.get("hx-request") == "true"
        leaves = not part or "leaves" in sent
        template = "outreach_verdict.html" if part else "outreach.html"
        fill = functools.partial(self._fill, request, sent, whole=not part, leaves=leaves)
        answer = await self._site.show(request, template, view, fill)
        if "export" in sent and view.draft and view.verdict and view.verdict.ok and view.trouble is None:
            name, data = view.draft.file
            headers = {**security.HEADERS, "Cache-Control": "no-store"}
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
            media = "message/rfc822" if view.draft.kind == "email" else "text/plain; charset=utf-8"
            return Response(data, 200, headers, media)
        return answer

    def _fill(
        self,
        request: Request,
        sent: Sent,
        view: OutreachView,
        *,
        typed: bool = True,
        whole: bool = True,
        leaves: bool = True,
    ) -> None:
        if view.trouble is not None:
            return
        lake, me = self._site.lake, request.cookies.get(COOKIE, "")
        view.one = self._demand(request.path_params["id"])
        view.person = self._somebody(view.one, sent.one("corpus"), sent.one("to_id") or sent.one("to"), whole=whole)
        kind = sent.one("kind", "email")
        if kind not in KINDS:
            raise InvalidInput("Choose an email or a text message.", field="kind")
        view.model = self._model if may("chat.complete") else ""
        by = sent.one("write") if typed else "template"
        view.draft = _typed(kind, sent) if by != "template" else drafted(kind, view.one, view.person, me)
        if by == "model":
            try:
                view.draft = self._by_model(kind, view.one, view.person, me)
            except LakehouseError as error:
                view.trouble, view.unwritten = error, True
        mark = _mark(view.one, view.person, view.draft)
        leaves = leaves and mark not in self._left
        view.verdict = judged(lake, view.draft, view.one, view.person, me, leaves=leaves)
        if leaves and view.verdict.ok:
            self._left[mark] = None
            if len(self._left) > _MOST_LEFT:
                self._left.pop(next(iter(self._left)), None)

    def _demand(self, id: str) -> OpenDemand:
        """Return the demand without a row of the audit for each of its people.

        This page shows one of them alone, by `demands.people`, which writes that row.
        """
        lake = self._site.lake
        return (lake.rooms if may("demands.get") else lake).demands.get(id)

    def _by_model(self, kind: Kind, one: OpenDemand, person: Person, me: str) -> Draft:
        if not self._model:
            raise WrongState("no model writes drafts here; name one in chat.draft_model", field="write")
        return written(self._site.lake, self._model, kind, one, person, me)

    def _somebody(self, one: OpenDemand, corpus: str, id: str, *, whole: bool) -> Person:
        """Return whom it is about; with what the roster says of them for a whole page, which shows it."""
        placed = next((each for each in one.people if (each.corpus, each.id) == (corpus, id)), None)
        if placed is None:
            raise NotFound(f"{id} is not on this demand; put them on the shortlist first.", id=id)
        if placed.stage in OUT:
            raise WrongState(f"{id} is left out of this demand.", id=id)
        if not whole:
            return Person(corpus=corpus, id=id, stage=placed.stage, metadata={})
        people = self._site.lake.demands.people(one.id, person=id).items
        found = next((each for each in people if each.corpus == corpus and each.metadata), None)
        if found is None:
            raise NotFound(f"{id} is no longer on the roster.", id=id)
        return found


def _typed(kind: Kind, sent: Sent) -> Draft:
    subject = sent.one("subject") if kind == "email" else ""
    return Draft(kind=kind, to=sent.one("address"), subject=subject, body=sent.one("body"))


def _mark(one: OpenDemand, person: Person, draft: Draft) -> bytes:
    # A form gives back what it was given without the space around it.
    draft = msgspec.structs.replace(draft, body=draft.body.strip())
    said = (caller.current().id, one.id, person.corpus, person.id, draft)
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=16).digest()
