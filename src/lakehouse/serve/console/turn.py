"""One press of a button, from the form that was sent to what the page then says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.errors import Conflict, InvalidInput, LakehouseError, NotFound
from lakehouse.matrix.base import SearchAnswer
from lakehouse.memory.evidence import Outcome
from lakehouse.serve.console import fields
from lakehouse.serve.console.cards import Card, card
from lakehouse.serve.console.fields import Reading
from lakehouse.serve.console.form import RECORDS, Form, Person, fingerprint
from lakehouse.serve.console.outcomes import score_of, words_of
from lakehouse.serve.console.queue_pages import is_csv
from lakehouse.serve.console.why_not import NAMESAKES, WhyNot, explain
from lakehouse.vectors.base import Filter


class Notice(msgspec.Struct, frozen=True):
    """What was done. `entry` is the playbook entry that can be taken back, empty when nothing can."""

    text: str
    entry: str = ""


class Turn:
    """Reads the text, does what the button says, and searches.

    A step that fails ends the turn with its error in `trouble`; what was found out before stays to be
    shown. Only a failed recording lets the search go on.

    Args:
        lake: Embedded or remote.
        form: What was sent.
        now: Time of looking, with a zone.

    Attributes:
        reading: The text as understood, None when it was not read.
        answer: Of the search, None when none was made.
        notice: What was recorded or taken back.
        trouble: What went wrong.
        nobody_yet: There is no corpus to search.
        excluded: People left out, after this button.
        cards: The matches in order, ready to be shown.
        why_not: About somebody who was asked for by name or id.
    """

    def __init__(self, lake: Lakehouse, form: Form, now: datetime) -> None:
        self._lake = lake
        self._form = form
        self._now = now
        self.reading: Reading | None = None
        self.answer: SearchAnswer | None = None
        self.notice: Notice | None = None
        self.trouble: LakehouseError | None = None
        self.nobody_yet = False
        # People were left out for one demand; the next one may want them.
        self.excluded: list[Person] = list(form.excluded) if form.fields_are_of_text else []
        self.cards: list[Card] = []
        self.why_not: WhyNot | None = None

    def take(self) -> Turn:
        """Do it all, and return this turn."""
        try:
            self._read()
            self._act()
            self._search()
        except LakehouseError as error:
            self.trouble = self.trouble or error
        return self

    @property
    def status(self) -> int:
        """The HTTP status that says how it went."""
        return self.trouble.status if self.trouble else 200

    @property
    def field(self) -> str:
        """Name of the form field that the trouble is about, empty when it is about none."""
        named = str(self.trouble.detail.get("field", "")) if self.trouble else ""
        return {"query_text": "text", "playbook": "coordinator"}.get(named, named)

    @property
    def read(self) -> str:
        """Fingerprint of the text that the chips belong to."""
        return fingerprint(self._form.text)

    @property
    def shown(self) -> str:
        """Fingerprint of the line that the matches were found for, empty without matches."""
        return fingerprint(self.reading.line) if self.reading and self.answer else ""

    def _read(self) -> None:
        form = self._form
        if not form.text.strip():
            raise InvalidInput(
                "The box is empty. Type what the client needs, such as “3 forklift operators in Detroit MI”,"
                " or paste the email.",
                field="text",
            )
        if is_csv(form.text):
            raise InvalidInput(
                "This is a list of demands. “Keep open” opens one for each of its lines.",
                field="text",
            )
        form.namespace()
        form.limit()
        typed = form.fields if form.fields_are_of_text and form.press != "as_written" else None
        self.reading = fields.read(form.text, typed, parse=self._lake.demand.parse)

    def _act(self) -> None:
        person = self._form.person
        acts: dict[str, Callable[[], None]] = {
            outcome: functools.partial(self._record, person, outcome) for outcome in RECORDS
        }
        acts["replace"] = functools.partial(self._leave_out, person)
        acts["put_back"] = functools.partial(self._put_back, person)
        acts["forget"] = self._forget
        act = acts.get(self._form.press)
        if act is None:
            return
        try:
            act()
        except LakehouseError as error:
            self.trouble = error

    def _record(self, person: Person | None, outcome: Outcome) -> None:
        if person is None or self.reading is None:
            return
        if self._form.shown != fingerprint(self.reading.line):
            raise Conflict(
                f"Nothing was recorded for {person.name}: the demand was changed after these matches were found."
                " Look at the new matches, then record."
            )
        recorded = self._lake.playbooks.record(
            query_text=self.reading.line,
            answer_id=person.id,
            corpus=person.corpus,
            score=score_of(outcome),
            role=self.reading.demand.role,
            namespace=self._form.namespace(),
            outcome=outcome,
        )
        said = words_of(outcome)
        entry = recorded.playbook_id if recorded.created else ""
        updated = "" if recorded.created else ", in place of what was recorded before"
        self.notice = Notice(
            f"Recorded by {self._form.namespace()}: {person.name}, {said}{updated}. Like demands will know.", entry
        )
        if outcome in {"rejected", "no_show"}:
            self._leave_out(person)

    def _leave_out(self, person: Person | None) -> None:
        if person is not None and person not in self.excluded:
            self.excluded.append(person)

    def _put_back(self, person: Person | None) -> None:
        self.excluded = [other for other in self.excluded if other != person]

    def _forget(self) -> None:
        self._lake.playbooks.delete(self._form.entry)
        self.notice = Notice("Taken back: it is no longer remembered.")

    def _search(self) -> None:
        form, reading = self._form, self.reading
        if reading is None:
            return
        if not form.corpora:
            self._explain_no_corpora()
        excluded = [person.id for person in self.excluded]
        self.answer = self._found(reading, form.limit(), excluded)
        place = reading.demand.location
        self.cards = [
            card(match, number=number, place=place, now=self._now)
            for number, match in enumerate(self.answer.results, 1)
        ]

        if form.why.strip():
            self.why_not = explain(
                self._lake,
                form.why.strip(),
                answer=self.answer,
                excluded=excluded,
                search=lambda among: self._found(reading, NAMESAKES, [], among),
            )

    def _found(self, reading: Reading, k: int, excluded: list[str], filter: Filter | None = None) -> SearchAnswer:
        return self._lake.matrix.search(
            query_text=reading.line,
            corpora=self._form.corpora,
            k=k,
            use_playbook=self._form.memory,
            # What stands in the box is a demand, however long and in whatever form.
            query_role=reading.demand.role,
            exclude_ids=excluded,
            filter=filter,
            playbook=self._form.namespace(),
        )

    def _explain_no_corpora(self) -> None:
        if self._lake.corpora.list().corpora:
            raise InvalidInput("Choose at least one group of people to search in.", field="corpora")
        self.nobody_yet = True
        raise NotFound("There is nobody to search yet.", field="corpora")
