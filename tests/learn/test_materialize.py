from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.learn import reading
from lakehouse.learn.base import EVIDENCE_COLUMNS, EvidenceRecord
from lakehouse.learn.materialize import VERSION, materialize, records_of, waiting
from lakehouse.learn.transforms.table import LINES, TRANSFORMS
from lakehouse.state.log import Log
from learn.made import FILL, PROMPT, op, session, tree, written

# After each commit it waits to be told to go on, so that it cannot end before it is killed.
RUN = (
    "import json, sys; from pathlib import Path; from lakehouse.learn import materialize as m, outputs;"
    "outputs.MOST_WAITING = 4096; m._EVERY_LINES = 50; lake = Path(sys.argv[1]);"
    "m.materialize(lake / 'evidence', {'ops': lake / 'logs/ops.jsonl'}, lake=lake,"
    " progress=lambda n: (print(n, flush=True), sys.stdin.readline()))"
)


def run(logs: dict[str, Path], lake: Path, folder: str = "evidence"):
    return materialize(lake / folder, logs, lake=lake)


def test_twelve_transforms_read_logs_that_exist():
    assert len(TRANSFORMS) == 12
    assert {log for names, _ in TRANSFORMS.values() for log in names} == set(LINES)


def test_each_kind_of_line_becomes_evidence(logs, tmp_path):
    done = run(logs, tmp_path)
    assert done.by_kind == {
        "chats": 1,
        "fills": 6,
        "inbox": 1,
        "iterates": 5,
        "ops": 40,
        "parses": 1,
        "playbooks": 2,
        "ratings": 1,
        "searches": 1,
        "validations": 1,
    }
    assert (done.lines, done.rejected, done.started_over) == (51, 0, False)
    assert sum(done.by_day.values()) == done.records == 59


def test_records_say_what_their_lines_say(logs, tmp_path):
    run(logs, tmp_path)
    found = {(record.kind, record.task): record for record in reading.evidence(tmp_path / "evidence")}
    made = found["iterates", "iterate.fill"]
    assert (made.input, msgspec.json.decode(made.output), made.subjects) == (PROMPT, FILL, ("w-2",))
    assert (made.prompt_tokens, made.completion_tokens, made.labels) == (40, 9, ("validator",))
    assert found["ratings", "matrix.rate"].labels == ("judge",)
    assert found["playbooks", "playbook.record"].status == "worked"
    assert found["fills", "fill.outcome"].labels == ("outcome",)
    refused = found["validations", "validate.check"]
    assert (refused.status, refused.labels, refused.subjects) == ("failed", ("validator",), ("w-2",))
    assert (msgspec.json.decode(refused.output), refused.metadata) == (FILL, {"artifact": "fill"})
    chat = found["chats", "chat.complete"]
    assert (msgspec.json.decode(chat.input), chat.output) == ([{"role": "user", "content": "hi"}], "hello")
    assert (chat.model, chat.provider, chat.namespace, chat.prompt_tokens) == ("small", "ollama", "default", 4)
    assert found["searches", "matrix.search"].subjects == ("w-1", "w-2")


def test_spans_of_earlier_versions_are_read(tmp_path):
    def span(name: str, status: str, **attributes: str) -> bytes:
        row = {"trace_id": "t", "name": name, "started": "2026-11-26T09:00:00Z", "elapsed_ms": 2.0, "status": status}
        return msgspec.json.encode({**row, "attributes": attributes})

    said = msgspec.json.encode([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]).decode()
    lines = [
        span("validate.check", "ValidationFailed", **{"error.type": "ValidationFailed"}),
        span("chat.complete", "Upstream", **{"gen_ai.provider.name": "lakehouse", "error.type": "Upstream"}),
        span("chat.complete", "ok", **{"gen_ai.input.messages": said, "gen_ai.output.messages": said}),
        span("chat.complete", "ok", **{"gen_ai.input.messages": said[:-9], "gen_ai.output.messages": said[:-9]}),
        *(span(name, "ok") for name in ("demands.fill", "demands.outcome", "demands.undo", "playbooks.bulk")),
    ]
    done = run({"spans": written(tmp_path / "logs/spans.jsonl", lines)}, tmp_path)
    assert (done.by_kind, done.rejected) == ({"chats": 3, "validations": 1}, 0)
    failed, whole, cut, refused = reading.evidence(tmp_path / "evidence")
    assert (refused.status, refused.labels, refused.output) == ("failed", ("validator",), "")
    assert (failed.status, failed.input, failed.namespace) == ("Upstream", "", "")
    assert (msgspec.json.decode(whole.input), whole.output) == ([{"role": "user", "content": "hi"}], "hi")
    assert (cut.input, cut.output) == ("", "")


def test_evidence_of_an_earlier_version_is_made_anew(logs, tmp_path):
    run(logs, tmp_path)
    before = tree(tmp_path / "evidence")
    state = tmp_path / "evidence/state.json"
    state.write_bytes(state.read_bytes().replace(VERSION.encode(), b"evidence.v1/1"))
    assert run(logs, tmp_path).started_over
    assert tree(tmp_path / "evidence") == before


def test_first_line_has_offset_zero_written(logs, tmp_path):
    run(logs, tmp_path)
    line = (tmp_path / "evidence/2026/11/20/ops.ops.jsonl").read_bytes().splitlines()[0]
    assert msgspec.json.decode(line)["provenance"] == {
        "file": "logs/ops.jsonl",
        "part": 1,
        "line_offset": 0,
        "time": "2026-11-20T09:00:00.000000Z",
    }
    assert list(msgspec.json.decode(line)) == list(EVIDENCE_COLUMNS) == list(EvidenceRecord.__struct_fields__)


def test_second_run_changes_no_byte(logs, tmp_path):
    run(logs, tmp_path)
    before = tree(tmp_path / "evidence")
    again = run(logs, tmp_path)
    assert (again.lines, again.records) == (0, 0)
    assert tree(tmp_path / "evidence") == before


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=4), limit=st.sampled_from([200, 3_000, 1 << 20]))
def test_runs_at_any_moment_and_sealed_files_give_the_same_bytes(tmp_path_factory, cuts, limit):
    lake = tmp_path_factory.mktemp("lake")
    path = lake / "logs" / "ops.jsonl"
    lines = [op(nth, kind=random.Random(nth).choice(["a", "b"])) for nth in range(60)]
    log = Log(path, max_bytes=limit)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        log.write(lines[start:end])
        run({"ops": path}, lake)
    log.close()
    run({"ops": path}, lake, "whole")
    assert tree(lake / "evidence") == tree(lake / "whole")
    assert sum(1 for _ in reading.evidence(lake / "whole")) == 60


def test_lines_that_are_not_the_logs_own_are_listed_and_passed_over(logs, tmp_path):
    written(logs["ops"], [b"garbage", b'{"op_id":1}', b"\xff\xfe", op(7, kind="after")])
    with logs["sessions"].open("ab") as file:
        file.write(b'{"torn')
    done = run(logs, tmp_path)
    assert done.rejected == 3
    rejected = [
        msgspec.json.decode(line) for line in (tmp_path / "evidence/rejected/ops.jsonl").read_bytes().splitlines()
    ]
    assert [set(row) for row in rejected] == [{"file", "part", "line_offset", "reason"}] * 3
    assert done.by_kind["ops"] == 41
    assert waiting(tmp_path / "evidence", logs) == len(b'{"torn')


def test_log_that_was_exchanged_is_read_anew(logs, tmp_path):
    run(logs, tmp_path)
    logs["ops"].write_bytes(op(3) + b"\n")
    done = run(logs, tmp_path)
    assert done.started_over
    run(logs, tmp_path, "whole")
    assert tree(tmp_path / "evidence") == tree(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["shortened", "removed", "state"])
def test_evidence_that_was_harmed_is_made_anew(logs, tmp_path, harm):
    run(logs, tmp_path)
    before = tree(tmp_path / "evidence")
    victim = tmp_path / "evidence/2026/11/25/sessions.fills.jsonl"
    if harm == "shortened":
        victim.write_bytes(victim.read_bytes()[:-5])
    elif harm == "removed":
        victim.unlink()
    else:
        (tmp_path / "evidence/state.json").write_bytes(b"{")
    assert run(logs, tmp_path).started_over
    assert tree(tmp_path / "evidence") == before


def test_record_is_made_again_from_its_line(logs, tmp_path):
    run(logs, tmp_path)
    for record in reading.evidence(tmp_path / "evidence", ["iterates"]):
        place = record.provenance
        line = logs["sessions"].read_bytes()[place.line_offset :].partition(b"\n")[0]
        assert record in list(records_of("sessions", line, msgspec.structs.asdict(place)))


def test_killed_anywhere_the_rerun_gives_the_bytes_of_a_whole_run(tmp_path):
    written(tmp_path / "logs/ops.jsonl", [op(nth) for nth in range(4_000)])
    run({"ops": tmp_path / "logs/ops.jsonl"}, tmp_path, "whole")
    kills = Counter()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    for commits in (1, 5, 20):
        with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], **pipes) as process:
            for _ in range(commits):
                process.stdout.readline()
                process.stdin.write("\n")
                process.stdin.flush()
            os.kill(process.pid, signal.SIGKILL)
        kills[process.returncode] += 1
    assert kills == {-signal.SIGKILL: 3}
    run({"ops": tmp_path / "logs/ops.jsonl"}, tmp_path)
    assert tree(tmp_path / "evidence") == tree(tmp_path / "whole")


@pytest.mark.parametrize("status", ["max_iter_exhausted", "infra_error"])
def test_iterate_that_failed_has_no_output(tmp_path, status):
    path = written(tmp_path / "logs/sessions.jsonl", [session(status=status, artifact=None, fill_id="")])
    assert run({"sessions": path}, tmp_path).by_kind == {"iterates": 1}
    (made,) = reading.evidence(tmp_path / "evidence")
    assert (made.status, made.output, made.subjects) == (status, "", ())
