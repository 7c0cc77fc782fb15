"""A chat model's ratings beside those by rules, in the answer of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.matrix._candidates import Candidate
from lakehouse.matrix.base import Opinions
from lakehouse.staffing.opinion import opinion, weighted_kappa


class SecondJudge:
    """Asks a chat model about people of an answer. A model that fails takes nothing from the answer.

    Args:
        model: Its name.
        chat: Prompt to the model's text.
    """

    def __init__(self, model: str, chat: Callable[[str], str]) -> None:
        self._model = model
        self._rate = opinion(chat)

    def about(self, text: str, chosen: Sequence[Candidate]) -> tuple[list[int | None], Opinions]:
        """Return the model's rating of each person, null where it gave none, and how far it agrees with the rules.

        Once the model cannot be reached it is not asked about the others.
        """
        given: list[int | None] = []
        failure = ""
        for candidate in chosen:
            rating = None
            if not failure:
                try:
                    rating = self._rate(text, candidate.metadata)
                except LakehouseError as error:
                    failure = error.message
            given.append(rating)
        ruled = [candidate.rating.rating if candidate.rating else None for candidate in chosen]
        pairs = [(rule, said) for rule, said in zip(ruled, given, strict=True) if rule is not None and said is not None]
        return given, Opinions(
            model=self._model,
            asked=len(chosen),
            unanswered=given.count(None),
            pairs=len(pairs),
            same=sum(rule == said for rule, said in pairs),
            within_one=sum(abs(rule - said) <= 1 for rule, said in pairs),
            kappa=weighted_kappa(pairs),
            failure=failure,
        )


def second_judge(judge: SecondJudge | None, wanted: int) -> SecondJudge | None:
    """Return who is asked for `wanted` opinions, None when that is nobody.

    Raises:
        InvalidInput: Opinions are wanted and no model is configured.
    """
    if wanted and judge is None:
        raise InvalidInput(
            "opinions are asked for and no chat model is configured to give them; set models.local_judge",
            field="opinions",
        )
    return judge if wanted else None
