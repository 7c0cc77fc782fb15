"""What a page sends, read back."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.serve.console.form import Form, Person, decode, fingerprint
from lakehouse.staffing.need import Fields

MARIA = Person("workers", "w-7", "Maria “Mia” O'Neil, <b>")


def sent(*pairs: tuple[str, str]) -> Form:
    return decode(urlencode(pairs).encode())


def test_decode_reads_every_part_of_the_form():
    form = sent(
        ("text", "3 welders\r\nin Parma"),
        ("read", "abc"),
        ("shown", "def"),
        ("role", "Welder"),
        ("count", "3"),
        ("coordinator", "alice"),
        ("corpora", "workers"),
        ("corpora", "others"),
        ("k", "25"),
        ("memory", "on"),
        ("excluded", MARIA.value),
    )
    assert form == Form(
        text="3 welders\nin Parma",
        read="abc",
        shown="def",
        fields=Fields(role="Welder", count="3"),
        coordinator="alice",
        corpora=["workers", "others"],
        k="25",
        memory=True,
        excluded=[MARIA],
    )


def test_decode_without_a_tick_memory_is_off():
    assert sent(("text", "x")).memory is False


@pytest.mark.parametrize("press", ["worked", "rejected", "replace", "put_back"])
def test_decode_button_names_its_person(press):
    form = sent(("text", "x"), (press, MARIA.value))
    assert (form.press, form.person) == (press, MARIA)


def test_decode_no_button_is_a_search():
    assert sent(("text", "x")).press == "search"


def test_decode_undo_names_its_entry():
    form = sent(("forget", "pb-1"))
    assert (form.press, form.entry, form.person) == ("forget", "pb-1", None)


@pytest.mark.parametrize("value", ["", "w-7", "[]", '["a","b"]', '["a","b",3]', "[" * 2000])
def test_decode_button_of_another_make_is_refused(value):
    with pytest.raises(InvalidInput, match="names nobody"):
        sent(("worked", value))


@given(st.binary(max_size=60))
def test_decode_never_fails_on_bytes_that_press_no_button(body):
    decode(b"text=" + body.replace(b"&", b"").replace(b"=", b""))


@given(st.text(), st.text(), st.text())
def test_person_survives_the_way_through_a_page(corpus, id, name):
    person = Person(corpus, id, name)
    assert sent(("replace", person.value)).person == person


@given(st.text(max_size=50))
def test_fingerprint_of_the_text_says_whether_the_fields_belong_to_it(text):
    unix = text.replace("\r\n", "\n")
    form = sent(("text", unix.replace("\n", "\r\n")), ("read", fingerprint(unix.replace("\r\n", "\n"))))
    assert form.fields_are_of_text
    assert not sent(("text", unix + "!"), ("read", fingerprint(unix))).fields_are_of_text


@pytest.mark.parametrize(("typed", "k"), [("1", 1), (" 10 ", 10), ("100", 100)])
def test_limit_reads_a_whole_number(typed, k):
    assert Form(k=typed).limit() == k


@pytest.mark.parametrize("typed", ["", "0", "101", "-1", "1.5", "ten", "٣", "9" * 5000])
def test_limit_refuses_everything_else_and_names_the_field(typed):
    with pytest.raises(InvalidInput, match="from 1 to 100") as caught:
        Form(k=typed).limit()
    assert caught.value.detail["field"] == "k"
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("typed", "name"), [("", "default"), ("  ", "default"), (" alice ", "alice"), ("a.b_c-9", "a.b_c-9")]
)
def test_namespace_is_the_coordinator_or_the_default(typed, name):
    assert Form(coordinator=typed).namespace() == name


@pytest.mark.parametrize("typed", ["two words", "Zoë", "a" * 65, "a/b", "a\nb", "<script>"])
def test_namespace_refuses_what_cannot_name_a_memory(typed):
    with pytest.raises(InvalidInput, match="cannot name a memory") as caught:
        Form(coordinator=typed).namespace()
    assert caught.value.detail["field"] == "coordinator"
