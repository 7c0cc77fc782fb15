"""What memory holds, on whose word, what it is worth today; retire an entry, correct one, hand all of it over."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, cast
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.errors import InvalidInput, LakehouseError, NotFound
from lakehouse.memory.base import DEFAULT_NAMESPACE, Lift, ListedPlaybook, PlaybookHistory, Shares
from lakehouse.memory.evidence import Outcome
from lakehouse.serve.console import bleed as measures
from lakehouse.serve.console import people
from lakehouse.serve.console.outcomes import OUTCOMES, score_of, words_of
from lakehouse.serve.console.people import Somebody
from lakehouse.serve.console.site import COOKIE, Pages, Sent, View, asked, may
from lakehouse.serve.console.words import counted, nothing_of
from lakehouse.staffing.folding import client_key

_PAGE = 50
_MOST_CLIENTS = 500
_MOST_LOOKED = 5_000
_MODES = ("share", "copy", "move")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: whose memory, and words that role, place, client or person must hold."""

    namespace: str = DEFAULT_NAMESPACE
    role: str = ""
    place: str = ""
    client: str = ""
    who: str = ""
    page: int = 1

    def of_page(self, page: int) -> str:
        """Return the address of another page of the same."""
        return "/memory?" + urlencode({**msgspec.structs.asdict(self), "page": page})

    def fits(self, entry: ListedPlaybook) -> bool:
        """Tell whether an entry is one of those looked for."""
        if not (self.role or self.place or self.client or self.who):
            return True
        pairs = (
            (self.role, entry.role),
            (self.place, f"{entry.city} {entry.state}"),
            (client_key(self.client), entry.client),
            (self.who, f"{entry.answer_id} {entry.by} {entry.namespace}"),
        )
        return all(wanted.casefold() in held.casefold() for wanted, held in pairs)


class MemoryView(View, kw_only=True):
    """What the page shows.

    Attributes:
        entries: Those of this page; `total` of `all` fit what was asked.
        who: The people of `entries` by id.
        more: There are older entries, which are not looked through here.
        roles: How often each role is remembered, most first.
        clients: Of whom something is remembered, by name.
        shares: Whose memory is used besides this one, and by whom this one is.
        lift: What memory did on live demands; None when nothing tells.
        bleed: Whether memory of one role moves anybody for another, when it was asked for.
        opened: An entry with its history.
        history, works: Whether who looks may open entries, and change them.
    """

    asked: Asked = Asked()
    entries: list[ListedPlaybook] = msgspec.field(default_factory=list)
    total: int = 0
    all: int = 0
    more: bool = False
    pages: int = 1
    who: dict[str, Somebody] = msgspec.field(default_factory=dict)
    roles: list[tuple[str, int]] = msgspec.field(default_factory=list)
    clients: list[str] = msgspec.field(default_factory=list)
    shares: Shares = Shares([], [])
    lift: Lift | None = None
    bleed: measures.Bleed | None = None
    opened: PlaybookHistory | None = None
    outcomes: tuple[tuple[str, str], ...] = OUTCOMES
    history: bool = False
    works: bool = False

    def words(self, outcome: str) -> str:
        """Return an outcome in words."""
        return words_of(outcome)


class MemoryPages(Pages):
    """The pages below `/memory`."""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/memory", self.open, methods=["GET"]),
            Route("/memory", self.act, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show what is remembered."""
        wanted = asked(request)
        view = MemoryView(asked=_asked(wanted, request.cookies.get(COOKIE, "")))
        fill = functools.partial(self._fill, wanted.one("entry"), bleed="bleed" in wanted)
        return await self._site.show(request, "memory.html", view, fill)

    async def act(self, request: Request) -> Response:
        """Retire or correct an entry, or hand everything over."""
        view = MemoryView(asked=_asked(asked(request), request.cookies.get(COOKIE, "")))
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        view.asked = _asked(sent, view.asked.namespace)
        return await self._site.show(request, "memory.html", view, functools.partial(self._act, sent))

    def _act(self, sent: Sent, view: MemoryView) -> None:
        acts: dict[str, Callable[[Sent, MemoryView], None]] = {
            "retire": self._retire,
            "correct": self._correct,
            "handover": self._hand_over,
            "withdraw": self._withdraw,
        }
        act = next((work for name, work in acts.items() if name in sent), None)
        if act is not None and view.trouble is None:
            try:
                act(sent, view)
            except LakehouseError as error:
                view.trouble = error
        self._fill("", view)

    def _retire(self, sent: Sent, view: MemoryView) -> None:
        self._site.lake.playbooks.delete(sent.one("retire"))
        view.notice = "Retired: no search will use it any more."

    def _correct(self, sent: Sent, view: MemoryView) -> None:
        """Record another outcome of the same: history keeps what was said before."""
        id, outcome = sent.one("correct"), sent.one("outcome")
        entries = self._site.lake.playbooks.list(view.asked.namespace).entries
        entry = next((one for one in entries if one.id == id), None)
        if entry is None:
            raise NotFound(f"{view.asked.namespace} does not remember this any more.", id=id)
        if outcome not in dict(OUTCOMES):
            raise InvalidInput("Choose what came of it.", field="outcome")
        self._site.lake.playbooks.record(
            query_text=entry.query_text,
            answer_id=entry.answer_id,
            corpus=entry.corpus,
            score=score_of(outcome),
            role=entry.role or None,
            namespace=entry.namespace,
            outcome=cast(Outcome, outcome),
            by=sent.one("by"),
            why=sent.one("why"),
        )
        view.notice = f"Recorded: {entry.answer_id}, {words_of(outcome)}. What was said before stays in its history."

    def _hand_over(self, sent: Sent, view: MemoryView) -> None:
        mode, receiver, of_client = sent.one("mode"), sent.one("to"), sent.one("of_client")
        if mode not in _MODES:
            raise InvalidInput("Choose how to hand over: share, copy or move.", field="mode")
        if not receiver:
            raise InvalidInput("Say who receives the memory.", field="to")
        handed = self._site.lake.playbooks.handover(
            from_=view.asked.namespace,
            to=receiver,
            mode=cast(Literal["share", "copy", "move"], mode),
            client=of_client,
        )
        if of_client and not handed.held:
            view.notice = nothing_of(view.asked.namespace, of_client, handed.clients_like)
            return
        said = {"share": "can use", "copy": "has copies of", "move": "has taken over"}[mode]
        view.notice = (
            f"{receiver} {said} the memory of {view.asked.namespace}{f' for {of_client}' if of_client else ''}:"
            f" {counted(handed.entries, 'entry', 'entries')} they did not have."
        )

    def _withdraw(self, sent: Sent, view: MemoryView) -> None:
        reader = sent.one("withdraw")
        self._site.lake.playbooks.withdraw(view.asked.namespace, reader)
        view.notice = f"{reader} uses nothing of the memory of {view.asked.namespace} any more. Copies stay."

    def _fill(self, opened: str, view: MemoryView, *, bleed: bool = False) -> None:
        lake, wanted = self._site.lake, view.asked
        entries = lake.playbooks.list(wanted.namespace, limit=_MOST_LOOKED + 1).entries
        view.more = len(entries) > _MOST_LOOKED
        entries = entries[:_MOST_LOOKED]
        counts: dict[str, int] = {}
        for entry in entries:
            counts[entry.role or "no role"] = counts.get(entry.role or "no role", 0) + 1
        view.roles = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
        view.clients = sorted({entry.client for entry in entries if entry.client})[:_MOST_CLIENTS]
        found = [entry for entry in entries if wanted.fits(entry)]
        view.all, view.total = len(entries), len(found)
        view.pages = max(1, -(-len(found) // _PAGE))
        view.entries = found[(wanted.page - 1) * _PAGE :][:_PAGE]
        if may("playbooks.lift"):
            view.lift = lake.playbooks.lift(wanted.namespace)
        view.shares = lake.playbooks.shares(wanted.namespace)
        view.history, view.works = may("playbooks.get"), may("playbooks.record")
        if bleed and view.works:
            view.bleed = measures.measured(lake, wanted.namespace, entries)
        shown = [*view.entries]
        if opened and view.history:
            view.opened = lake.playbooks.get(opened)
            shown.append(view.opened.entry)
        view.who = people.named(lake, [(entry.corpus, entry.answer_id) for entry in shown])


def _asked(sent: Sent, namespace: str) -> Asked:
    page = sent.one("page", "1")
    return Asked(
        namespace=sent.one("namespace") or namespace or DEFAULT_NAMESPACE,
        role=sent.one("role"),
        place=sent.one("place"),
        client=sent.one("client"),
        who=sent.one("who"),
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )
