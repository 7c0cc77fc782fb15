"""E-mail as it is stored: `.eml`, mbox, maildir. Read by the standard library; nothing in it is obeyed."""

from __future__ import annotations

import email
import email.policy
import hashlib
import mailbox
import re
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.observe.messages import MAX_BODY_BYTES, Priority

_QUOTED = re.compile(r"^(?:>|On .{4,200}wrote:\s*$|-{2,} ?Original Message|_{10,}\s*$|From: .+$)", re.MULTILINE)
_URGENT = {"1": "urgent", "2": "high", "4": "low", "5": "low", "urgent": "urgent", "high": "high", "low": "low"}
_ENVELOPE = b"From "


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One e-mail, as far as the inbox takes it in."""

    sender: str
    subject: str
    body: str
    priority: Priority
    message_id: str
    in_reply_to: str


def messages_of(data: bytes) -> Iterator[Mail]:
    """Yield the messages of a file, in order.

    Args:
        data: One message, or an mbox (its first line begins `From `).

    Raises:
        InvalidInput: There is none.
    """
    if not data.strip():
        raise InvalidInput("the file is empty; give an .eml or mbox file", field="source")
    if not data.startswith(_ENVELOPE):
        yield read(data)
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mbox"
        path.write_bytes(data)
        box = mailbox.mbox(path, create=False)
        try:
            for key in box.iterkeys():
                yield read(box.get_bytes(key))
        finally:
            box.close()


def read(data: bytes) -> Mail:
    """Read one message; what it lacks is empty."""
    parsed = email.message_from_bytes(data, _class=EmailMessage, policy=email.policy.default)
    return Mail(
        sender=_header(parsed, "From"),
        subject=_header(parsed, "Subject"),
        body=_fitting(_body(parsed)),
        priority=_priority(parsed),
        message_id=_header(parsed, "Message-ID") or f"<sha256:{hashlib.sha256(data).hexdigest()}>",
        in_reply_to=_header(parsed, "In-Reply-To"),
    )


def _header(parsed: EmailMessage, name: str) -> str:
    # A header that is malformed in ways the parser cannot take is as good as none.
    try:
        return " ".join(str(parsed.get(name, "")).split())
    except Exception:  # noqa: BLE001 - the standard library raises IndexError, ValueError and more for hostile headers
        return ""


def _body(parsed: EmailMessage) -> str:
    try:
        part = parsed.get_body(preferencelist=("plain", "html"))
        if part is None:
            return ""
        text = part.get_content()
    except Exception:  # noqa: BLE001 - unknown charsets, broken encodings: take the bytes as they are
        raw = parsed.get_payload(decode=True)
        return raw.decode("utf-8", "replace").strip() if isinstance(raw, bytes) else ""
    if not isinstance(text, str):
        return ""
    return (_text_of_html(text) if part.get_content_subtype() == "html" else text).replace("\r\n", "\n").strip()


def _fitting(body: str) -> str:
    """Leave out what is quoted below the message where the whole is too long."""
    if len(body.encode("utf-8", "replace")) <= MAX_BODY_BYTES:
        return body
    quoted = _QUOTED.search(body)
    return body[: quoted.start()].strip() if quoted else body


def _priority(parsed: EmailMessage) -> Priority:
    for name in ("X-Priority", "Importance", "Priority"):
        word = _header(parsed, name).casefold().split(" ")[0]
        if word in _URGENT:
            return msgspec.convert(_URGENT[word], Priority)  # type: ignore[no-any-return]
    return "medium"


class _Text(HTMLParser):
    """Collects what a reader of the page would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the shape of HTMLParser
        self._hidden += tag in {"script", "style", "head", "title"}
        if tag in {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "table"}:
            self.parts.append("\n")
        elif tag in {"td", "th"}:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "head", "title"}:
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _text_of_html(page: str) -> str:
    reader = _Text()
    reader.feed(page)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)
