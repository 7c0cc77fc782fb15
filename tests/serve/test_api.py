"""What only the wire can show: verbs, headers, bodies and paths as they are sent."""

import asyncio
import contextlib
import shutil
import threading
import time
from pathlib import Path

import httpx
import msgspec
import pytest

import lakehouse
from lakehouse import settings, tracing
from serving import stack_of

CSV = {"content": b"id,role\n1,cook\n", "headers": {"Content-Type": "text/csv"}}


@contextlib.contextmanager
def serving(lake, *, token="", only=None, **server):
    """Serve a lake on a free port, and give a client for it."""
    config = lake.rooms.settings
    config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **server))
    with (
        stack_of(lake, config, token=token, only=only) as stack,
        httpx.Client(base_url=stack.url, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def api_lake(built, people, tmp_path_factory):
    """One lake for all tests of this file; each uses names of its own."""
    folder = tmp_path_factory.mktemp("api") / "lake"
    shutil.copytree(built(people), folder)
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder)})) as lake:
        yield lake


@pytest.fixture(scope="module")
def client(api_lake):
    with serving(api_lake, max_body_bytes=200_000, max_ingest_bytes=300_000) as client:
        yield client


def refused(answer, status, code):
    """Check the one shape of an error and give its detail."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "trace_id"}
    assert set(body["error"]) == {"code", "message", "retryable", "detail"}
    assert body["error"]["code"] == code
    assert body["trace_id"] == answer.headers[tracing.HEADER]
    return body["error"]


def test_every_health_that_is_described_is_answered(client):
    paths = client.get("/openapi.json").json()["paths"]
    names = paths["/v1/{service}/health"]["get"]["parameters"][0]["schema"]["enum"]
    assert {"gateway", "vectord", "matrix"} <= set(names)
    assert {client.get(f"/v1/{name}/health").status_code for name in names} == {200}
    assert (
        client.get("/metrics")
        .headers["content-type"]
        .startswith(*paths["/metrics"]["get"]["responses"]["200"]["content"])
    )


def test_health_of_the_gateway_and_of_every_service(client):
    assert client.get("/health").json() == {"status": "ok", "service": "gateway", "version": lakehouse.__version__}
    for word, service in {
        "gateway": "gateway", "storaged": "storaged", "catalogd": "catalogd", "ingestd": "ingestd", "queryd": "queryd",
        "vectord": "vectord", "embedd": "embedd", "matrixd": "matrixd", "sql": "queryd", "vectors": "vectord",
        "demand": "matrixd",
    }.items():  # fmt: skip
        assert client.get(f"/v1/{word}/health").json()["service"] == service


def test_unknown_path_is_refused_in_our_shape(client):
    assert "/openapi.json" in refused(client.get("/v1/nothing"), 404, "not_found")["message"]
    refused(client.get("/v1"), 404, "not_found")


def test_wrong_verb_is_refused_and_the_right_ones_are_named(client):
    answer = client.patch("/v1/catalog/datasets/people")
    assert refused(answer, 405, "invalid_input")["detail"] == {"allowed": ["GET", "DELETE"]}
    assert answer.headers["Allow"] == "GET, DELETE"
    refused(client.get("/v1/matrix/search"), 405, "invalid_input")
    refused(client.post("/health"), 405, "invalid_input")


def test_unknown_query_parameter_is_refused(client):
    assert refused(client.get("/v1/storage?prefx=a"), 400, "invalid_input")["detail"] == {"field": "prefx"}
    assert refused(client.get("/v1/catalog/datasets?limit=1"), 400, "invalid_input")["detail"] == {"field": "limit"}
    answer = client.post("/v1/matrix/search?k=3", json={"query_text": "cook", "corpora": ["workers"]})
    assert refused(answer, 400, "invalid_input")["detail"] == {"field": "k"}


def test_query_parameter_given_twice_is_refused(client):
    refused(client.get("/v1/storage?prefix=a&prefix=b"), 400, "invalid_input")


def test_query_parameter_is_read_as_its_type(client):
    assert client.post("/v1/ingest?name=api1&quarantine=true", **CSV).json()["rows"] == 1
    answer = client.post("/v1/ingest?name=api2&quarantine=perhaps", **CSV)
    assert refused(answer, 400, "invalid_input")["detail"] == {"field": "quarantine"}


@pytest.mark.parametrize("path", ["/v1/demand/parse", "/v1/matrix/search", "/v1/sql"])
@pytest.mark.parametrize(
    "body", [b"[1]", b"null", b'{"a":', b"\xff", b'{"a":"\xff"}', b'{"a":' * 9_999, b"{} {}", b"k=1"]
)
def test_body_that_is_no_json_object_is_refused(client, path, body):
    assert refused(client.post(path, content=body), 400, "invalid_input")["detail"]["field"] == "body"


@pytest.mark.parametrize("path", ["/v1/demand/parse", "/v1/matrix/search", "/v1/sql"])
def test_body_without_fields_names_the_missing_one(client, path):
    for body in (b"", b"{}", b" \n"):
        assert "needs the field" in refused(client.post(path, content=body), 400, "invalid_input")["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"q": "SELECT 1"}, "q"),
        ({"sql": 1}, "sql"),
        ({"sql": "SELECT 1", "limit": "3"}, "limit"),
        ({"sql": "SELECT 1", "limit": None, "timeout_ms": 1.5}, "timeout_ms"),
    ],
)
def test_body_with_a_wrong_field_is_refused(client, body, field):
    assert refused(client.post("/v1/sql", json=body), 400, "invalid_input")["detail"]["field"] == field


def test_argument_of_the_path_is_refused_in_the_body(client):
    answer = client.post("/v1/vectors/index/workers/search", json={"name": "other", "text": "x"})
    assert refused(answer, 400, "invalid_input")["detail"]["field"] == "name"


def test_body_of_a_request_that_takes_none_is_refused(client):
    answer = client.request("DELETE", "/v1/catalog/datasets/people", json={"force": True})
    refused(answer, 400, "invalid_input")
    assert client.get("/v1/catalog/datasets/people").status_code == 200


def test_body_over_the_limit_is_refused_declared_or_not(client):
    big = b'{"sql": "' + b" " * 200_000 + b'"}'
    assert refused(client.post("/v1/sql", content=big), 413, "limit_exceeded")["detail"] == {"limit": 200_000}
    refused(client.post("/v1/sql", content=iter([big[:150_000], big[150_000:]])), 413, "limit_exceeded")
    refused(client.post("/v1/ingest?name=api3", content=b"x" * 300_001), 413, "limit_exceeded")
    refused(client.get("/v1/catalog/datasets/api3"), 404, "not_found")


def test_upload_leaves_no_file_behind(client, api_lake):
    client.post("/v1/ingest?name=api4", **CSV)
    client.post("/v1/ingest?name=api4", content=b"", headers={"Content-Type": "text/csv"})
    client.post("/v1/ingest?name=api4", content=iter([b"x" * 200_000] * 2))
    client.put("/v1/storage/api/x", content=b"x" * 100_000)
    assert list((Path(api_lake.rooms.settings.data) / "incoming").iterdir()) == []


def test_upload_left_by_a_crash_is_removed_at_the_start(make_lake, people):
    lake = make_lake(people)
    left = Path(lake.rooms.settings.data) / "incoming" / "upload-left"
    left.parent.mkdir()
    left.write_bytes(b"half a file")
    with serving(lake):
        assert not left.exists()


def test_created_index_answers_201_and_delete_204_without_body(client):
    made = client.post("/v1/vectors/index", json={"name": "api5", "dimension": 2})
    assert (made.status_code, made.json()["name"]) == (201, "api5")
    refused(client.post("/v1/vectors/index", json={"name": "api5", "dimension": 2}), 409, "already_exists")
    gone = client.delete("/v1/vectors/index/api5")
    assert (gone.status_code, gone.content) == (204, b"")


def test_object_head_answers_in_headers(client):
    client.put("/v1/storage/api6", content=b"12345")
    head = client.head("/v1/storage/api6")
    assert head.content == b""
    assert head.headers["Content-Length"] == "5"
    assert head.headers["ETag"]
    assert head.headers["Last-Modified"].endswith("GMT")
    assert client.head("/v1/storage/api7").status_code == 404
    got = client.get("/v1/storage/api6")
    assert (got.content, got.headers["Content-Type"]) == (b"12345", "application/octet-stream")
    assert got.headers["X-Content-Type-Options"] == "nosniff"


def test_sql_answers_arrow_to_those_who_ask(client):
    import pyarrow as pa

    arrow = "application/vnd.apache.arrow.stream"
    answer = client.post("/v1/sql", json={"sql": "SELECT 7 AS seven"}, headers={"Accept": f"{arrow}, */*;q=0.1"})
    assert answer.headers["Content-Type"] == arrow
    assert pa.ipc.open_stream(answer.content).read_all().to_pydict() == {"seven": [7]}
    assert client.post("/v1/sql", json={"sql": "SELECT 7 AS seven"}).json()["rows"] == [[7]]


def test_older_embed_has_the_older_shape(client):
    older = client.post("/ai/embed", json={"texts": ["forklift"]}).json()
    newer = client.post("/v1/embed", json={"texts": ["forklift"]}).json()
    assert set(older) == {"embeddings", "dimensions"}
    assert (older["embeddings"], older["dimensions"]) == (newer["vectors"], newer["dimension"])
    refused(client.post("/ai/embed", json={"text": "forklift"}), 400, "invalid_input")


def test_trace_id_joins_the_answer_and_its_body(client):
    asked = {"query_text": "cook", "corpora": ["workers"], "k": 1}
    answer = client.post("/v1/matrix/search", json=asked, headers={tracing.HEADER: "my-trace"})
    assert answer.headers[tracing.HEADER] == answer.json()["trace_id"] == "my-trace"


def test_quoted_slash_stays_inside_its_name(client):
    refused(client.get("/v1/vectors/index/workers%2Fids"), 404, "not_found")
    assert client.get("/v1/vectors/index/workers/ids").status_code == 200


def test_path_that_is_not_utf8_is_refused(client):
    assert refused(client.get("/v1/storage/%ff"), 400, "invalid_input")["detail"] == {"field": "key"}


def test_token_is_asked_for(api_lake):
    with serving(api_lake, token="s3cret") as client:
        refused(client.get("/v1/catalog/datasets"), 401, "permission_denied")
        assert client.get("/health").status_code == 200
        with lakehouse.connect(str(client.base_url), token="s3cret") as remote:
            assert remote.catalog.datasets().datasets
        with (
            lakehouse.connect(str(client.base_url), token="wrong") as remote,
            pytest.raises(lakehouse.errors.Unauthenticated),
        ):
            remote.catalog.datasets()


def test_service_alone_serves_its_own_paths_with_and_without_prefix(api_lake):
    with serving(api_lake, only=frozenset({"vectord"})) as client:
        assert client.get("/health").json()["service"] == "vectord"
        assert client.get("/vectors/index/workers").json() == client.get("/v1/vectors/index/workers").json()
        refused(client.get("/v1/catalog/datasets"), 404, "not_found")
        refused(client.post("/matrix/search", json={}), 404, "not_found")
        assert set(client.get("/openapi.json").json()["paths"]) >= {"/vectors/index", "/health"}


def test_search_alone_answers_without_prefix(api_lake):
    with serving(api_lake, only=frozenset({"matrixd"})) as client:
        answer = client.post("/matrix/search", json={"query_text": "cook", "corpora": ["workers"], "k": 2})
        assert len(answer.json()["results"]) == 2


def test_stack_warms_up_by_itself(make_lake, people):
    lake = make_lake(people)
    with serving(lake):
        limit = time.monotonic() + 30
        while not lake.rooms.matrix.ready("warehouse worker"):
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_overload_is_refused_as_unavailable_while_searches_go_on(api_lake):
    slow = "SELECT count(*) FROM range(30000000000) t(x) WHERE x % 7 = 3"
    search = {"query_text": "line cook in Parma OH", "corpora": ["workers"], "k": 3}
    nearest = "/v1/vectors/index/workers/search"
    vector = api_lake.embed.texts(["line cook"]).vectors[0]

    async def ask(url):
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            await client.post("/v1/matrix/search", json=search)
            slow_ones = [
                asyncio.create_task(client.post("/v1/sql", json={"sql": slow, "timeout_ms": 4_000})) for _ in range(4)
            ]
            await asyncio.sleep(0.5)
            found = await client.post("/v1/matrix/search", json=search)
            near = [
                await client.post(nearest, json={"vector": vector, "k": 3, "exact": exact}) for exact in (False, True)
            ]
            running = sum(not slow_one.done() for slow_one in slow_ones)
            return found, near, running, await asyncio.gather(*slow_ones)

    with serving(api_lake, threads=2, max_waiting=1) as client:
        found, (near, exact), running, answers = asyncio.run(ask(str(client.base_url)))
        assert found.status_code == 200
        assert len(near.json()["results"]) == 3
        # Scoring everybody takes a thread of its own, and there is none.
        assert refused(exact, 503, "unavailable")["retryable"]
        assert running == 3
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [503, 504, 504, 504]
        overloaded = next(answer for answer in answers if answer.status_code == 503)
        assert refused(overloaded, 503, "unavailable")["retryable"]
        assert client.get("/v1/catalog/datasets").status_code == 200


def test_statement_stops_when_its_caller_hangs_up(api_lake):
    slow = {"sql": "SELECT count(*) FROM range(90000000000) t(x) WHERE x % 7 = 3", "timeout_ms": 25_000}

    def running():
        return [thread for thread in threading.enumerate() if thread.name == "sql-deadline"]

    def until(holds):
        limit = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < limit
            time.sleep(0.02)

    def ask():
        with contextlib.suppress(httpx.ReadTimeout):
            client.post("/v1/sql", json=slow, timeout=httpx.Timeout(30, read=2))

    with serving(api_lake) as client:
        asking = threading.Thread(target=ask)
        asking.start()
        until(running)
        asking.join()
        until(lambda: not running())
        assert client.post("/v1/sql", json={"sql": "SELECT 1"}).json()["rows"] == [[1]]
