"""How a room asks a chat model for a few words: a second opinion on a rating, the role that rules do not find."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse.chat.base import Message

if TYPE_CHECKING:
    from lakehouse.chat.service import Chat

# Enough for a digit, or a title, and a few words around it.
_TOKENS = 16


def prompting(model: str, chat: Callable[[], Chat]) -> Callable[[str], str] | None:
    """Return what takes a prompt to a model's text; None when no model is named.

    Args:
        model: Its name, empty for none.
        chat: Gives the chat when the model is asked.
    """

    def ask(prompt: str) -> str:
        # What is said of a person, or written by one, is personal, though no name is among it.
        messages = [Message(role="user", content=prompt)]
        answer = chat().complete(model, messages, max_tokens=_TOKENS, temperature=0.0, data_class="personal")
        return answer.content

    return ask if model else None
