"""The page of an open demand: its fields, its people, whom to call next, and every step until it is filled."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.demands.base import URGENCIES, Candidate, Chosen, OpenDemand, Status
from lakehouse.errors import InvalidInput, LakehouseError, NotFound, PermissionDenied
from lakehouse.matrix.base import SearchAnswer
from lakehouse.memory.evidence import Outcome
from lakehouse.serve.console.demand_view import BACKUPS, MOST_CALLS, DemandView, complete, pick, says
from lakehouse.serve.console.outcomes import OUTCOMES, words_of
from lakehouse.serve.console.site import COOKIE, Pages, Sent, Site, asked
from lakehouse.serve.console.why_not import NAMESAKES, explain
from lakehouse.staffing.need import NAMES, Fields
from lakehouse.vectors.base import Filter

_MOVES: dict[str, tuple[Chosen, str]] = {
    "shortlist": ("shortlisted", "on the shortlist"),
    "propose": ("proposed", "proposed"),
    "exclude": ("excluded", "left out of this demand"),
    "bar": ("do_not_return", "not to return to this client"),
    "take_off": ("none", "off this demand"),
}
_PAIR = 2


class DemandPages(Pages):
    """The pages below `/queue/demands`.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        site.templates.globals |= {"urgencies": URGENCIES, "demand_says": says}

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/queue/demands/{id}", self.open, methods=["GET"]),
            Route("/queue/demands/{id}", self.act, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show one demand; the address may ask for less, or why somebody is not called."""
        wanted = asked(request)
        view = DemandView(why=wanted.one("why"))
        fill = functools.partial(self._fill, request.path_params["id"], relax="relax" in wanted)
        return await self._site.show(request, "open_demand.html", view, fill)

    async def act(self, request: Request) -> Response:
        """Do what a button says, and show the demand after it."""
        view = DemandView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        id, me = request.path_params["id"], request.cookies.get(COOKIE, "")
        return await self._site.show(request, "open_demand.html", view, functools.partial(self._act, id, me, sent))

    def _act(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        name = sent.one("act")
        acts: dict[str, Callable[[], None]] = {
            "edit": lambda: self._edit(id, sent, view),
            "note": lambda: self._note(id, me, sent, view),
            "fill": lambda: self._book(id, me, sent, view),
            "release": lambda: self._release(id, me, sent, view),
            "replace": lambda: self._replace(id, me, sent, view),
            "outcome": lambda: self._outcome(id, me, sent, view),
            "undo": lambda: self._undo(id, sent, view),
            "propose_first": lambda: self._propose_first(id, me, view),
            **{move: functools.partial(self._move, id, me, sent, view, move) for move in _MOVES},
        }
        act = acts.get(name)
        if act is not None and view.trouble is None:
            try:
                act()
            except LakehouseError as error:
                view.trouble = error
        self._fill(id, view)
        if name == "compare" and view.trouble is None:
            view.compared = pick(view, sent.all("who"))
            if len(view.compared) != _PAIR:
                view.trouble = InvalidInput("Tick two people to compare them.", field="who")

    def _edit(self, id: str, sent: Sent, view: DemandView) -> None:
        view.fields = Fields(**{name: sent.one(name) for name in NAMES})
        urgency, status = sent.one("urgency"), sent.one("status", "open")
        if urgency not in URGENCIES or status not in {"open", "closed"}:
            raise InvalidInput("Choose the urgency, and whether the demand is open.", field="urgency")
        self._site.lake.demands.edit(
            id,
            fields=view.fields,
            owner=sent.one("owner"),
            namespace=sent.one("namespace") or None,
            urgency=urgency,
            status=cast(Status, status),
        )
        # As it was understood, which may be said in other words.
        view.fields = Fields()
        view.notice = "Changed."

    def _note(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        self._site.lake.demands.note(id, text=sent.one("text"), by=me)
        view.notice = "Noted."

    def _move(self, id: str, me: str, sent: Sent, view: DemandView, move: str) -> None:
        people = _people(sent)
        stage, words = _MOVES[move]
        self._site.lake.demands.place(id, people, stage, by=me, why=sent.one("reason"))
        view.notice = f"{_some(len(people))} {words}."

    def _propose_first(self, id: str, me: str, view: DemandView) -> None:
        lake = self._site.lake
        one = lake.demands.get(id)
        wanted = one.remaining - one.proposed
        answer = lake.demands.candidates(id, k=min(one.demand.count + len(one.people), 1_000))
        on = {each.id for each in one.people}
        # The call list is only as good as its ratings: nobody is proposed unseen who is not a good match.
        good = [match for match in answer.results if match.id not in on and (match.rating or 0) >= 4]
        people = [Candidate(match.corpus, match.id) for match in good[: max(0, wanted)]]
        if not people:
            raise InvalidInput("There is nobody good to propose who is not proposed already.")
        lake.demands.place(id, people, "proposed", by=me)
        view.notice = f"{_some(len(people))} proposed, best first; {max(0, wanted - len(people))} still to find."

    def _book(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        lake = self._site.lake
        people = _people(sent) if sent.all("who") else []
        on = {each.id for each in lake.demands.get(id).people}
        new = [each for each in people if each.id not in on]
        if new:
            lake.demands.place(id, new, "proposed", by=me)
        done = lake.demands.fill(id, [each.id for each in people], by=me)
        view.refused, view.warnings = done.refused, done.warnings
        view.notice = f"{_some(len(done.filled))} filled; {done.demand.filled} of {done.demand.demand.count} now."

    def _release(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        self._site.lake.demands.release(id, sent.one("id"), by=me)
        view.notice = f"{sent.one('id')} is free again, and proposed."

    def _replace(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        coming = _person(sent.one("by_whom"))
        self._site.lake.demands.replace(id, sent.one("id"), coming, by=me, why=sent.one("why"))
        view.notice = f"{coming.id} in place of {sent.one('id')}, who is left out."

    def _outcome(self, id: str, me: str, sent: Sent, view: DemandView) -> None:
        outcome = sent.one("outcome")
        if outcome not in dict(OUTCOMES):
            raise InvalidInput("Choose what came of it.", field="outcome")
        view.learned = self._site.lake.demands.outcome(
            id, sent.one("id"), cast(Outcome, outcome), by=me, why=sent.one("why")
        )
        chance = round(100 * view.learned.posterior.mean)
        view.notice = (
            f"Recorded: {sent.one('id')}, {words_of(outcome)}. Memory now gives {chance} in 100 that they work out for"
            " a demand like this."
        )

    def _undo(self, id: str, sent: Sent, view: DemandView) -> None:
        self._site.lake.demands.undo(id, sent.one("id"))
        view.notice = "Taken back: it is no longer remembered."

    def _fill(self, id: str, view: DemandView, *, relax: bool = False) -> None:
        lake = self._site.lake
        one = lake.demands.get(id)
        if one.message:
            # Who may not read the inbox still works on the demand.
            with contextlib.suppress(NotFound, PermissionDenied):
                view.message = lake.inbox.get(one.message)
        people = lake.demands.people(id)
        wanted = one.remaining + one.proposed + one.shortlisted + BACKUPS
        try:
            answer = lake.demands.candidates(id, k=max(2 * BACKUPS, min(wanted, MOST_CALLS)))
        except LakehouseError as error:
            answer, view.trouble = None, view.trouble or error
        complete(view, one, people, answer, self._site.clock())
        if relax:
            view.relaxed = lake.demands.relax(id)
        if view.why and answer is not None:
            out = [each.id for each in one.people if each.stage in {"excluded", "do_not_return"}]
            view.why_not = explain(
                lake,
                view.why,
                answer=answer,
                excluded=[*out, *one.barred],
                search=lambda among: self._among(one, among),
            )

    def _among(self, one: OpenDemand, among: Filter) -> SearchAnswer:
        lake = self._site.lake
        return lake.matrix.search(
            query_text=one.line,
            corpora=[corpus.name for corpus in lake.corpora.list().corpora],
            k=NAMESAKES,
            query_role=one.demand.role,
            filter=among,
        )


def _people(sent: Sent) -> list[Candidate]:
    people = [_person(value) for value in sent.all("who")]
    if not people:
        raise InvalidInput("Tick somebody first.", field="who")
    return people


def _person(value: str) -> Candidate:
    try:
        corpus, id = msgspec.json.decode(value, type=tuple[str, str])
    except msgspec.MsgspecError:
        raise InvalidInput("Choose somebody from the lists of this page.", field="who") from None
    return Candidate(corpus, id)


def _some(count: int) -> str:
    return "Nobody" if not count else "1 person" if count == 1 else f"{count:,} people"
