"""What a query text asks for, worked out once: its demand, and the vector of its searchable part."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.experience import years_wanted
from lakehouse.staffing.parse import MAX_TEXT_BYTES, Parser, searchable_text

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.staffing.roles import Roles

MAX_QUERY_BYTES = 32 * 1024


class Ask(msgspec.Struct, frozen=True):
    """A query text, understood.

    Vectors are (d,) float32 of unit length, of the searchable part only: never of a name, a client or contact
    data. `vector` is of the text as written, for people. `meaning`, for memory, is of occupation, skills and
    certifications by the names they have here: the same need in other words has the same meaning. Of a text that names
    no known role both are the same. `years` of experience are asked for, null when the text does not say.
    """

    text: str
    demand: Demand
    vector: np.ndarray
    meaning: np.ndarray
    years: int | None


class Asks:
    """Parses and embeds query texts, remembering the latest ones.

    Args:
        parser: Demand parser.
        roles: Occupations.
        embed: `(n,)` texts to `(n, d)` float32, unit length.
        remember: How many texts are kept, least recently used out first.
    """

    def __init__(
        self, parser: Parser, roles: Roles, embed: Callable[[Sequence[str]], np.ndarray], remember: int = 4_096
    ) -> None:
        self._parser = parser
        self.roles = roles
        self.certifications = parser.certifications
        self.embed = embed
        self._remember = remember
        self._asks: OrderedDict[str, Ask] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, text: str) -> bool:
        """Tell whether `of(text)` answers from memory, in microseconds."""
        return text in self._asks

    def of(self, text: str) -> Ask:
        """Return what `text` asks for.

        Raises:
            InvalidInput: The text is empty or blank.
            TooLarge: The text is over 32 KiB.
        """
        with self._lock:
            ask = self._asks.get(text)
            if ask is not None:
                self._asks.move_to_end(text)
                return ask
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> list[Ask]:
        """Return what each text asks for, in order; unknown ones are embedded together. Raises as `of`."""
        with self._lock:
            known = {text: ask for text in texts if (ask := self._asks.get(text)) is not None}
            for text in known:
                self._asks.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            demands = [self._demand(text) for text in new]
            written = [searchable_text(text, demand) for text, demand in zip(new, demands, strict=True)]
            meant = [self._meant(*ask) for ask in zip(demands, written, strict=True)]
            vectors = self.embed([*written, *meant]).view()
            # They are kept and handed out; nobody may write on them.
            vectors.setflags(write=False)
            years = map(years_wanted, new)
            asks = zip(new, demands, vectors[: len(new)], vectors[len(new) :], years, strict=True)
            known |= {ask[0]: Ask(*ask) for ask in asks}
            with self._lock:
                self._asks.update((text, known[text]) for text in new)
                while len(self._asks) > self._remember:
                    self._asks.popitem(last=False)
        return [known[text] for text in texts]

    def _meant(self, demand: Demand, written: str) -> str:
        if demand.role_code is None or "role" not in demand.spans:
            return written
        skills = sorted(skill.casefold() for skill in demand.skills)
        return ", ".join([self.roles.title(demand.role_code), *skills, *sorted(demand.certs)])

    def _demand(self, text: str) -> Demand:
        size = check_text(text)
        # What is longer than any demand is a description of somebody, to be found by nearness.
        return self._parser.parse(text) if size <= MAX_TEXT_BYTES else Demand()


def check_text(text: str) -> int:
    """Return how many bytes a demand has in UTF-8.

    Raises:
        InvalidInput: It is empty, blank or no valid Unicode.
        TooLarge: It is over 32 KiB.
    """
    if not text.strip():
        raise InvalidInput("query_text is empty; write what is needed, such as a role and a place", field="query_text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"query_text is not valid Unicode at character {error.start}: half of a surrogate pair", field="query_text"
        ) from None
    if size > MAX_QUERY_BYTES:
        raise TooLarge(
            f"query_text has {size} bytes, the limit is {MAX_QUERY_BYTES}; send the demand without attachments",
            field="query_text",
            limit_bytes=MAX_QUERY_BYTES,
        )
    return size
