"""The session log as a list that follows it, and the alarm."""

import msgspec
import pytest

from lakehouse.state.log import Log, sealed
from lakehouse.validate.session import Attempt, Session, row
from lakehouse.validate.session_list import MOST, SessionReader


def session(id: str, status="accepted", *, kind="fill", grounded=True) -> bytes:
    return row(
        Session(
            session_id=id,
            time=f"2026-01-01T00:00:{len(id):02d}Z",
            kind=kind,
            model="small",
            status=status,
            attempts=[Attempt(n=n, verdict="no_json", latency_ms=20.5) for n in (1, 2)],
            prompt="ask Maria Lopez",
            artifact={"workers": [{"id": "w-1"}]},
            grounded_in_roster=grounded,
            fill_id=f"f-{id}",
        )
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.jsonl"


def test_list_follows_the_log_newest_first_and_reads_each_row_once(path):
    reader = SessionReader(path)
    assert (reader.list(5).kept, reader.list(5).total) == (True, 0)
    log = Log(path)
    log.write([session("a"), session("b", "max_iter_exhausted", grounded=None)])
    assert [one.session_id for one in reader.list(5).sessions] == ["b", "a"]
    log.write([session("c", "infra_error", kind="sms", grounded=None)])
    found = reader.list(2)
    assert [one.session_id for one in found.sessions] == ["c", "b"]
    assert (found.total, found.phantoms, found.alarms) == (3, 0, [])
    assert found.by_status == {"accepted": 1, "infra_error": 1, "max_iter_exhausted": 1}
    first = found.sessions[0]
    assert (first.attempts, first.latency_ms, first.fill_id, first.kind) == (2, 41.0, "f-c", "sms")
    assert b"Maria" not in msgspec.json.encode(found)
    log.close()


def test_accepted_fill_with_somebody_not_in_the_roster_is_an_alarm(path):
    log = Log(path)
    log.write([session("good"), session("phantom", grounded=False), session("unsaid", grounded=None)])
    # Not an accepted fill, so nobody was looked up.
    log.write([session("mail", kind="email", grounded=None), session("lost", "infra_error", grounded=None)])
    log.close()
    found = SessionReader(path).list(5)
    assert (found.phantoms, [one.session_id for one in found.alarms]) == (2, ["unsaid", "phantom"])


def test_sealed_files_half_lines_and_a_log_written_anew_are_followed(path):
    reader = SessionReader(path)
    path.write_bytes(session("a") + b"\n" + session("b")[:20])
    assert [one.session_id for one in reader.list(5).sessions] == ["a"]
    path.write_bytes(session("a") + b"\n" + session("b") + b"\n")
    assert reader.list(5).total == 2
    path.rename(sealed(path, 1))
    path.write_bytes(session("c") + b"\n" + b"x" * 9 + b"\n")
    assert [one.session_id for one in reader.list(5).sessions] == ["c", "b", "a"]
    sealed(path, 1).unlink()
    assert [one.session_id for one in reader.list(5).sessions] == ["c"]


def test_no_log_is_told_and_many_sessions_are_bounded(path):
    assert not SessionReader(None).list(5).kept
    path.write_bytes(b"".join(session(f"s{at}") + b"\n" for at in range(MOST + 5)))
    found = SessionReader(path).list(MOST)
    assert (found.total, len(found.sessions), found.sessions[0].session_id) == (MOST + 5, MOST, f"s{MOST + 4}")
