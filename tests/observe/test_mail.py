"""Mail as it is stored, good and bad."""

import mailbox
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.observe import mail


def built(body="Need 2 cooks in Akron OH", *, html="", **headers) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Bob <bob@example.com>"
    message["Subject"] = "Order"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    if body:
        message.set_content(body)
    if html:
        (message.add_alternative if body else message.set_content)(html, subtype="html")
    return message


def test_eml_is_one_message():
    (read,) = mail.messages_of(built(Message_ID="<1@x>", In_Reply_To="<0@x>").as_bytes())
    assert (read.sender, read.subject, read.body) == ("Bob <bob@example.com>", "Order", "Need 2 cooks in Akron OH")
    assert (read.message_id, read.in_reply_to, read.priority) == ("<1@x>", "<0@x>", "medium")


def test_mbox_is_all_its_messages(tmp_path, inbox):
    box = mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(built(f"Need {number + 2} cooks in Akron OH", Message_ID=f"<{number}@x>"))
    box.add(built("x" * 9000, Message_ID="<long@x>"))
    box.close()
    data = (tmp_path / "box").read_bytes()
    done = inbox.file(data)
    assert (len(done.created), done.known) == (3, 0)
    assert [(each.position, each.message_id) for each in done.refused] == [(4, "<long@x>")]
    assert inbox.file(data).known == 3


def test_plain_part_is_preferred_to_html():
    assert mail.read(built("plain", html="<p>html</p>").as_bytes()).body == "plain"


def test_html_is_read_as_a_reader_sees_it():
    page = (
        "<head><title>t</title><style>p{}</style></head><p>Need 2&nbsp;cooks<br>in Akron</p><script>alert(1)</script>"
    )
    assert mail.read(built("", html=page).as_bytes()).body == "Need 2 cooks\nin Akron"


def test_attachment_is_not_the_body():
    message = built()
    message.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="x.bin")
    assert mail.read(message.as_bytes()).body == "Need 2 cooks in Akron OH"


@pytest.mark.parametrize(
    ("header", "value", "priority"),
    [("X_Priority", "1 (Highest)", "urgent"), ("X_Priority", "5", "low"), ("Importance", "High", "high"),
     ("Priority", "urgent", "urgent"), ("X_Priority", "nonsense", "medium")],
)  # fmt: skip
def test_priority_is_read_from_headers(header, value, priority):
    assert mail.read(built(**{header: value}).as_bytes()).priority == priority


def test_quotation_is_left_out_where_the_whole_is_too_long():
    body = "Need 2 cooks in Akron OH\n\nOn Monday, Ann wrote:\n" + "> blah blah\n" * 1000
    assert mail.read(built(body).as_bytes()).body == "Need 2 cooks in Akron OH"


def test_message_without_id_is_known_by_its_bytes():
    data = built().as_bytes()
    assert mail.read(data).message_id == mail.read(data).message_id != mail.read(data + b"x").message_id


def test_unknown_charset_is_read_somehow():
    data = b"From: a@b\r\nContent-Type: text/plain; charset=no-such\r\n\r\nNeed 2 cooks\r\n"
    assert mail.read(data).body == "Need 2 cooks"


def test_file_without_a_message_is_refused():
    with pytest.raises(InvalidInput, match="empty"):
        list(mail.messages_of(b"\n"))


@given(st.binary(min_size=1, max_size=2000).filter(bytes.strip))
def test_any_bytes_can_be_read(data):
    for read in mail.messages_of(data):
        read.body.encode("utf-8", "surrogateescape")


@given(st.text(max_size=200))
def test_any_header_can_be_read(text):
    mail.read(f"From: {text}\nSubject: {text}\nMessage-ID: {text}\n\nbody\n".encode("utf-8", "surrogatepass"))
