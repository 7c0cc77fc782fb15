"""A trace through a client, a stack divided into processes and a model: one tree at a receiver of OTLP.

The receiver is built on the schema of the OpenTelemetry project. $LAKEHOUSE_TEST_PHOENIX may name a Python that has
`arize-phoenix` installed; that collector is then started on loopback and asked what it has received.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.evals.fake_provider import FakeProvider

UP = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())", "up", "--processes"]
FILL = {"demand": {"role": "Forklift Operator", "count": 1, "start": "2031-03-05"}, "workers": [{"id": "w-1"}]}
EMBED = "embed.texts"
PHOENIX = os.environ.get("LAKEHOUSE_TEST_PHOENIX", "")


def services(part: str) -> str:
    return f"lakehouse-{part}"


@contextmanager
def divided(folder: Path, collector: str, models: str) -> Iterator[str]:
    """Run a divided stack and give the URL of its gateway; at its end every part has sent its spans."""
    environ = {
        **os.environ,
        "LAKEHOUSE_TRACES__ENDPOINT": collector,
        "LAKEHOUSE_TRACES__SEND_EVERY_MS": "10",
        "LAKEHOUSE_CHAT__OLLAMA_URL": models,
    }
    command = [*UP, "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, cwd=folder.parent, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield gateway_of(process)
        finally:
            process.terminate()
            process.communicate(timeout=60)
        assert process.returncode == 0


def gateway_of(process: subprocess.Popen) -> str:
    """Read the log up to the line that names the gateway; the parts behind it name themselves as well."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        found = re.search(r"ready on (http://\S+)", line)
        if found and httpx.get(f"{found[1]}/health", trust_env=False).json()["service"] == "gateway":
            return found[1]
    raise AssertionError("".join(seen))


def called(folder: Path, collector: str) -> tuple[str, str]:
    """Make some calls through a divided stack; give the ids of two traces."""
    own = settings.load(
        environ={}, overrides={"traces": {"endpoint": collector, "service": "client", "send_every_ms": 1}}
    )
    with FakeProvider(say=lambda _: json.dumps(FILL)) as model, divided(folder, collector, model.url) as url:
        with lakehouse.connect(url, config=own) as lake, lake.phase("job") as job:
            lake.matrix.search("Need 2 forklift operators in Cleveland OH for a trace", ["workers"], 3)
            lake.iterate.run("fill", "One forklift operator; w-1 is free.", "small")
        # Somebody who knows nothing of spans, and whose text nobody has embedded yet.
        bare = httpx.post(
            f"{url}/v1/matrix/search",
            json={"query_text": "CNC operator in Detroit MI, nights, for a trace", "corpora": ["workers"], "k": 1},
            trust_env=False,
            timeout=60,
        ).raise_for_status()
    return job, bare.headers["x-lakehouse-trace-id"]


@pytest.fixture(scope="module")
def folder(built, people, tmp_path_factory):
    made = tmp_path_factory.mktemp("divided") / "lake"
    shutil.copytree(built(people), made)
    return made


@pytest.fixture(scope="module")
def traced(folder, receiver):
    return called(folder, receiver.url)


@pytest.fixture
def phoenix(tmp_path):
    """Run the collector of Arize on loopback and give its URL."""
    http, grpc = free_port(), free_port()
    environ = {
        **os.environ,
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(tmp_path),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{http}"
    command = [PHOENIX, "-m", "phoenix.server.main", "serve"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, env=environ, stdout=log, stderr=log) as process:
        try:
            for _ in range(600):
                with suppress(httpx.TransportError):
                    if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                        break
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
            yield url
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def tree(receiver, trace_id):
    """Return the spans of a trace by id with the services they are from, and those without a parent among them."""
    ours = {span.span_id: (service, span) for service, span in receiver.spans if span.trace_id.hex() == trace_id}
    roots = [span.name for _, span in ours.values() if span.parent_span_id not in ours]
    return ours, roots


def test_spans_of_separate_processes_are_one_tree(receiver, traced):
    ours, roots = tree(receiver, traced[0])
    assert roots == ["job"]
    assert {service for service, _ in ours.values()} == {"client", services("lake"), services("embedd")}

    def above(service, span):
        found = []
        while span.parent_span_id in ours:
            from_, span = ours[span.parent_span_id]
            if from_ != service:
                found.append((from_, span.name))
                service = from_
        return found

    ends = {(service, span.name): above(service, span) for service, span in ours.values()}
    assert ends[services("embedd"), EMBED] == [(services("lake"), EMBED), ("client", "matrix.search")]
    assert ends[services("lake"), "chat.complete"] == [("client", "iterate.run")]
    assert ends[services("lake"), "iterate.attempt[1]"] == [("client", "iterate.run")]


def test_trace_of_a_caller_without_spans_is_one_tree(receiver, traced):
    ours, roots = tree(receiver, traced[1])
    assert roots == ["matrix.search"]
    names = {(service, span.name) for service, span in ours.values()}
    assert {(services("lake"), "matrix.search"), (services("lake"), EMBED), (services("embedd"), EMBED)} <= names
    for embedded in (span for service, span in ours.values() if service == services("embedd")):
        asked = ours[embedded.parent_span_id][1]
        assert ours[asked.parent_span_id][1].name == "matrix.search"


@pytest.mark.skipif(not PHOENIX, reason="LAKEHOUSE_TEST_PHOENIX does not name a Python with arize-phoenix")
def test_phoenix_has_a_trace_of_several_processes_as_one_tree(folder, phoenix):
    job, bare = called(folder, f"{phoenix}/v1/traces")
    for trace_id, root, least in ((job, "job", 10), (bare, "matrix.search", 4)):
        spans = kept_by(phoenix, trace_id, least)
        ids = {span["context"]["span_id"] for span in spans}
        assert [span["name"] for span in spans if span["parent_id"] not in ids] == [root]
        assert [span["name"] for span in spans].count(EMBED) >= 2


def kept_by(phoenix: str, trace_id: str, least: int) -> list[dict]:
    """Return the spans of a trace; they are stored some time after they were taken."""
    spans: list[dict] = []
    for _ in range(100):
        before = len(spans)
        found = httpx.get(
            f"{phoenix}/v1/projects/default/spans", params={"trace_id": trace_id, "limit": 1_000}, trust_env=False
        )
        if found.is_success:
            spans = [span for span in found.json()["data"] if span["context"]["trace_id"] == trace_id]
        if before == len(spans) >= least:
            break
        time.sleep(0.5)
    return spans
