"""Writing to somebody about a demand: judged as it is typed, and only what passes can leave."""

from __future__ import annotations

import functools

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.demands.base import OUT, OpenDemand, Person
from lakehouse.errors import Conflict, InvalidInput, LakehouseError, NotFound
from lakehouse.serve.console import security
from lakehouse.serve.console.outreach import KINDS, Draft, Verdict, drafted, judged
from lakehouse.serve.console.site import COOKIE, Pages, Sent, View, asked


class OutreachView(View, kw_only=True):
    """What the page shows; `draft` as typed, `verdict` what the validators say of it."""

    one: OpenDemand | None = None
    person: Person | None = None
    draft: Draft | None = None
    verdict: Verdict | None = None


class OutreachPages(Pages):
    """The page below a demand where one of its people is written to."""

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
        """Judge what was typed; with the button that exports it, give it as a file if it passes."""
        view = OutreachView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        part = request.headers.get("hx-request") == "true"
        template = "outreach_verdict.html" if part else "outreach.html"
        answer = await self._site.show(request, template, view, functools.partial(self._fill, request, sent))
        if "export" in sent and view.draft and view.verdict and view.verdict.ok and view.trouble is None:
            name, data = view.draft.file
            headers = {**security.HEADERS, "Cache-Control": "no-store"}
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
            media = "message/rfc822" if view.draft.kind == "email" else "text/plain; charset=utf-8"
            return Response(data, 200, headers, media)
        return answer

    def _fill(self, request: Request, sent: Sent, view: OutreachView, *, typed: bool = True) -> None:
        if view.trouble is not None:
            return
        lake, me = self._site.lake, request.cookies.get(COOKIE, "")
        id = request.path_params["id"]
        view.one = lake.demands.get(id)
        view.person = self._somebody(view.one, sent.one("corpus"), sent.one("to_id") or sent.one("to"))
        kind = sent.one("kind", "email")
        if kind not in KINDS:
            raise InvalidInput("Choose an email or a text message.", field="kind")
        draft = drafted(kind, view.one, view.person, me)
        if typed:
            draft = msgspec.structs.replace(
                draft, to=sent.one("address"), subject=sent.one("subject"), body=sent.one("body")
            )
        view.draft = draft
        view.verdict = judged(lake, draft, view.one, view.person, me)

    def _somebody(self, one: OpenDemand, corpus: str, id: str) -> Person:
        people = self._site.lake.demands.people(one.id).items
        found = next((each for each in people if (each.corpus, each.id) == (corpus, id)), None)
        if found is None:
            raise NotFound(f"{id} is not on this demand; put them on the shortlist first.", id=id)
        if found.stage in OUT:
            raise Conflict(f"{id} is left out of this demand.", id=id)
        if not found.metadata:
            raise NotFound(f"{id} is no longer on the roster.", id=id)
        return found
