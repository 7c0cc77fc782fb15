import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, PermissionDenied, TooLarge, Unavailable
from lakehouse.serve.pool import Pool
from lakehouse.serve.requests import Body, Disconnected, decoded


def body(chunks, *, limit=100, declared=None, cut=False):
    """A request body that arrives in chunks; a cut one ends before it is complete."""
    messages = [
        {"type": "http.request", "body": chunk, "more_body": cut or position < len(chunks) - 1}
        for position, chunk in enumerate(chunks)
    ]
    rest = iter([*messages, {"type": "http.disconnect"}])

    async def receive():
        return next(rest)

    headers = [(b"content-length", str(declared).encode())] if declared is not None else []
    return Body({"headers": headers}, receive, limit, setting="server.max_body_bytes")


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=9))
def test_body_whole_is_all_chunks_in_order(chunks):
    assert asyncio.run(body(chunks).whole()) == b"".join(chunks)


def test_body_at_its_limit_is_read():
    assert asyncio.run(body([b"x" * 60, b"y" * 40], declared=100).whole()) == b"x" * 60 + b"y" * 40


def test_body_declared_over_the_limit_is_refused_unread():
    with pytest.raises(TooLarge, match=r"larger than 100 bytes.*server\.max_body_bytes"):
        body([b""], declared=101)


def test_body_that_lies_about_its_length_is_refused_at_the_limit():
    with pytest.raises(TooLarge):
        asyncio.run(body([b"x" * 60, b"y" * 41], declared=5).whole())


def test_body_of_a_client_gone_is_not_taken_for_whole():
    with pytest.raises(Disconnected):
        asyncio.run(body([b"half"], cut=True).whole())


def test_body_spool_writes_the_bytes_and_leaves_nothing_after_an_error(tmp_path):
    pool = Pool(1, waiting=9, name="spool")
    folder = tmp_path / "incoming"
    try:
        path = asyncio.run(body([b"ab", b"", b"cd"]).spool(folder, pool))
        assert path.read_bytes() == b"abcd"
        path.unlink()
        with pytest.raises(TooLarge):
            asyncio.run(body([b"x" * 60, b"y" * 60]).spool(folder, pool))
        assert list(folder.iterdir()) == []
    finally:
        pool.close(within_ms=5_000)


def test_body_spool_on_a_full_disk_says_so_and_leaves_nothing(small_disk):
    pool = Pool(1, waiting=9, name="spool")
    try:
        with pytest.raises(Unavailable, match="no room left"):
            asyncio.run(body([b"x" * 1_000_000] * 4, limit=9_000_000).spool(small_disk, pool))
        assert list(small_disk.iterdir()) == []
    finally:
        pool.close(within_ms=5_000)


def test_body_spool_in_a_read_only_place_says_so(read_only_folder):
    pool = Pool(1, waiting=9, name="spool")
    try:
        with pytest.raises(PermissionDenied, match="cannot write"):
            asyncio.run(body([b"x"]).spool(read_only_folder / "incoming", pool))
    finally:
        pool.close(within_ms=5_000)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b'{"a":', "not valid JSON"),
        (b'{"a":1} x', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[1]", "not an array"),
        (b'"x"', "not a string"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (b"3.5", "not a number"),
    ],
)
def test_decoded_anything_but_an_object_is_refused(sent, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        decoded(sent)
    assert caught.value.detail["field"] == "body"
