"""How a chat model is asked for a second opinion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse.chat.base import Message

if TYPE_CHECKING:
    from lakehouse.chat.service import Chat

# Enough for a digit and a few words around it.
_TOKENS = 16


def second_opinions(model: str, chat: Callable[[], Chat]) -> tuple[str, Callable[[str], str]] | None:
    """Return a model's name and what takes a prompt to its text; None when no model is named.

    Args:
        model: Its name, empty for none.
        chat: Gives the chat when the model is asked.
    """

    def ask(prompt: str) -> str:
        # What is said of a person is personal, though no name is among it.
        messages = [Message(role="user", content=prompt)]
        answer = chat().complete(model, messages, max_tokens=_TOKENS, temperature=0.0, data_class="personal")
        return answer.content

    return (model, ask) if model else None
