"""The role of a demand, read by a chat model where the rules find none."""

from __future__ import annotations

from collections.abc import Callable

_LONGEST = 2_000
_NONE = "none"
_PROMPT = (
    "Below is a message to a staffing agency. Which job are people wanted for? Answer with the job title alone, in the "
    f"words of the message, or with {_NONE} when it asks for nobody.\n\nMessage:\n{{text}}\n\nJob title:"
)
_AROUND = " \t\"'*`.:"


def role_reader(chat: Callable[[str], str]) -> Callable[[str], str | None]:
    """Return what names the role of a text by asking a chat model; None for a text that asks for nobody.

    Args:
        chat: Prompt to the model's text; its errors come through.

    >>> role_reader(lambda prompt: 'Job title: "Line Cook".')("we are short of a line cook")
    'Line Cook'
    """

    def read(text: str) -> str | None:
        answer = chat(_PROMPT.format(text=text[:_LONGEST]))
        first = next((line for line in answer.splitlines() if line.strip()), "")
        title = first.rpartition(":")[2].strip(_AROUND)
        return title if title and title.casefold() != _NONE else None

    return read
