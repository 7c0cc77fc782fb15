"""Logs in a bucket of a real S3: all of them, once, whenever somebody dies; and read from there."""

from __future__ import annotations

import random
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from lake.services import S3Service, free_ports
from lakehouse import settings
from lakehouse.errors import InvalidInput, Unavailable
from lakehouse.lake import shipping
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.query import LogTable, Query
from lakehouse.lake.shipping import Shipping, own_id
from lakehouse.lake.store import bucket
from lakehouse.state.log import Log, files

COLUMNS = {"n": "BIGINT", "who": "VARCHAR"}
OBJECT = 600


class Lake:
    """A folder with two logs, and what puts them into the bucket."""

    def __init__(self, folder: Path, storage: settings.Storage, **options: object) -> None:
        folder.mkdir(exist_ok=True)
        self.storage = storage
        self.paths = {name: folder / "logs" / f"{name}.jsonl" for name in ("ops", "sessions")}
        self.own = own_id(folder)
        self.shipping = Shipping(storage, self.paths, self.own, object_bytes=OBJECT, **options)

    def here(self, name: str) -> bytes:
        return b"".join(file.read_bytes() for file in files(self.paths[name]))

    def there(self, name: str) -> bytes:
        return b"".join(self.objects(name).values())

    def objects(self, name: str) -> dict[str, bytes]:
        store = store_of(self.storage)
        return {info.key: store.get(info.key) for info in store.list(f"{self.own}/{name}/").objects}


def store_of(storage: settings.Storage):
    name, _, prefix = storage.logs.removeprefix("s3://").partition("/")
    return bucket(storage, name, prefix)


@pytest.fixture
def storage(s3_service: S3Service) -> settings.Storage:
    """A place of its own for the logs of a test."""
    return msgspec.structs.replace(
        s3_service.storage, backend="local", bucket="", logs=f"s3://lake/logs-{secrets.token_hex(4)}", logs_every_s=0.05
    )


@pytest.fixture
def lake(tmp_path: Path, storage: settings.Storage) -> Lake:
    return Lake(tmp_path / "one", storage)


@pytest.fixture
def query_of(tmp_path: Path) -> Iterator[Callable[[Lake], Query]]:
    opened: list[Query] = []

    def make(lake: Lake) -> Query:
        catalog = Catalog(settings.Catalog(), tmp_path / f"catalog{len(opened)}")
        tables = [LogTable(name, path, COLUMNS) for name, path in lake.paths.items()]
        opened.append(Query(settings.Query(), catalog, tables, lake.shipping))
        return opened[-1]

    yield make
    for query in opened:
        query.close()
        query.catalog.close()


def row(n: int, who: str = "x") -> bytes:
    return msgspec.json.encode({"n": n, "who": who})


@pytest.mark.parametrize("seed", [1, 2])
def test_bucket_holds_all_rows_once_in_objects_that_are_full_before_the_next_begins(lake: Lake, seed: int) -> None:
    lots = random.Random(seed)
    logs = {name: Log(path, max_bytes=1_500) for name, path in lake.paths.items()}
    before: dict[str, bytes] = {}
    for n in range(40):
        # Some rows are longer than an object.
        logs[lots.choice([*logs])].write([row(n, "w" * lots.choice([3, 80, 700])) for _ in range(lots.randrange(5))])
        if lots.random() < 0.3:
            # Whoever starts anew knows only what lies in the bucket.
            lake.shipping = Shipping(lake.storage, lake.paths, lake.own, object_bytes=OBJECT)
        if lots.random() < 0.5:
            assert lake.shipping.ship()
            now = {**lake.objects("ops"), **lake.objects("sessions")}
            assert all(now[key].startswith(data) for key, data in before.items())
            before = now
            assert (lake.there("ops"), lake.there("sessions")) == (lake.here("ops"), lake.here("sessions"))
    assert len(before) > 10
    assert all(len(data) <= OBJECT or data.count(b"\n") == 1 for data in before.values())
    for log in logs.values():
        log.close()


def test_files_that_were_removed_before_they_were_put_there_keep_nothing_back(lake: Lake) -> None:
    log = Log(lake.paths["ops"], max_bytes=500)
    for begin in (0, 100):
        for n in range(begin, begin + 100):
            log.write([row(n)])
        # The last one is in the bucket in part, or will be.
        removed = files(lake.paths["ops"])[-2]
        lost = set(removed.read_bytes().splitlines())
        removed.unlink()
        assert lake.shipping.ship()
        there = lake.there("ops").splitlines()
        assert not lost & {*there}
        assert [line for line in there if line in lake.here("ops").splitlines()] == lake.here("ops").splitlines()
    log.close()


def test_row_that_is_not_whole_waits(lake: Lake) -> None:
    lake.paths["ops"].parent.mkdir()
    lake.paths["ops"].write_bytes(row(1) + b'\n{"n":')
    assert lake.shipping.ship()
    assert lake.there("ops") == row(1) + b"\n"
    with lake.paths["ops"].open("ab") as file:
        file.write(b"2}\n")
    assert lake.shipping.ship()
    assert lake.there("ops") == lake.here("ops")


_CHILD = """
import sys
from pathlib import Path
import msgspec
from lakehouse import settings
from lakehouse.lake.shipping import Shipping
from lakehouse.state.log import Log
storage = msgspec.json.decode(sys.argv[1], type=settings.Storage)
path, own = Path(sys.argv[2]), sys.argv[3]
log = Log(path, max_bytes=4000)
shipping = Shipping(storage, {"ops": path}, own, object_bytes=600)
print("ready", flush=True)
for n in range(1_000_000):
    log.write([b'{"n":%d}' % n])
    if n % 3 == 0:
        shipping.ship()
        print(n, flush=True)
"""


def test_nothing_is_lost_or_there_twice_when_the_process_is_killed_at_any_point(lake: Lake) -> None:
    lots = random.Random(5)
    for _ in range(4):
        words = [msgspec.json.encode(lake.storage).decode(), str(lake.paths["ops"]), lake.own]
        with subprocess.Popen([sys.executable, "-c", _CHILD, *words], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(lots.randrange(2, 8)):
                assert child.stdout.readline()
            # In the midst of the next ones.
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(lots.random() * 0.02)
            child.send_signal(signal.SIGKILL)
        there = lake.there("ops")
        assert there
        assert lake.here("ops").startswith(there)
    Log(lake.paths["ops"]).close()
    assert lake.shipping.ship()
    assert lake.there("ops") == lake.here("ops")


def test_bucket_that_is_away_fails_nobody_and_gets_everything_later(
    tmp_path: Path, storage: settings.Storage, caplog: pytest.LogCaptureFixture
) -> None:
    away = msgspec.structs.replace(storage, endpoint=f"http://127.0.0.1:{free_ports(1)[0]}")
    lake = Lake(tmp_path / "one", away)
    log = Log(lake.paths["ops"])
    log.write([row(1)])
    assert not lake.shipping.ship()
    assert "are behind, it is tried again" in caplog.text
    log.write([row(2)])
    log.close()
    again = Lake(tmp_path / "one", storage)
    assert again.shipping.ship()
    assert again.there("ops") == again.here("ops") == row(1) + b"\n" + row(2) + b"\n"


def test_clean_stop_puts_the_last_rows_there(
    tmp_path: Path, storage: settings.Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_LAST_S", "_CLOSING_S"):
        monkeypatch.setattr(shipping, limit, 240.0)
    lake = Lake(tmp_path / "one", msgspec.structs.replace(storage, logs_every_s=3_600))
    begun = threading.Event()
    lake.shipping.start(begun.set)
    begun.wait()
    log = Log(lake.paths["ops"])
    log.write([row(1)])
    log.close()
    lake.shipping.close()
    assert lake.there("ops") == row(1) + b"\n"


def test_nothing_is_put_there_while_it_is_held(tmp_path: Path, storage: settings.Storage) -> None:
    held = [True]
    lake = Lake(tmp_path / "one", storage, held=lambda: held[0])
    log = Log(lake.paths["ops"])
    log.write([row(1)])
    assert lake.shipping.ship()
    assert lake.there("ops") == b""
    held[0] = False
    assert lake.shipping.ship()
    assert lake.there("ops") == lake.here("ops")
    log.close()


def test_log_that_was_cut_is_told_and_leaves_the_bucket_alone(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    for name in lake.paths:
        log = Log(lake.paths[name])
        log.write([row(1), row(2)])
        log.close()
    assert lake.shipping.ship()
    whole = lake.there("ops")
    lake.paths["ops"].write_bytes(row(3) + b"\n")
    log = Log(lake.paths["sessions"])
    log.write([row(4)])
    log.close()
    assert lake.shipping.ship()
    assert "'ops' reaches further in s3://lake/logs-" in caplog.text
    assert lake.there("ops") == whole
    assert lake.there("sessions") == lake.here("sessions")


def test_one_table_shows_the_rows_of_all_lakes(
    lake: Lake, tmp_path: Path, storage: settings.Storage, query_of: Callable[[Lake], Query]
) -> None:
    other = Lake(tmp_path / "two", storage)
    assert other.own != lake.own
    logs = {each.own: Log(each.paths["ops"], max_bytes=300) for each in (lake, other)}
    for n in range(60):
        logs[lake.own if n % 3 else other.own].write([row(n)])
    # Its own rows are read here, whether they are there or not.
    assert other.shipping.ship()
    counted = "SELECT replica, count(*), min(n) FROM ops GROUP BY ALL ORDER BY min(n)"
    query = query_of(lake)
    assert query.query(counted).rows == [[other.own, 20, 0], [lake.own, 40, 1]]
    assert query.query("SELECT count(*) FROM sessions").rows == [[0]]
    assert [column.name for column in query.query("FROM sessions").columns] == ["n", "who", "replica"]
    logs[other.own].write([row(-1)])
    assert other.shipping.ship()
    assert lake.shipping.ship()
    assert query.query(counted).rows == [[other.own, 21, -1], [lake.own, 40, 1]]
    assert query_of(other).query("SELECT count(*), sum(n) FROM ops").rows == [[61, sum(range(60)) - 1]]
    for log in logs.values():
        log.close()


def test_own_rows_are_read_without_the_bucket_and_rows_that_went_from_it_are_no_longer_shown(
    lake: Lake, tmp_path: Path, storage: settings.Storage, query_of: Callable[[Lake], Query]
) -> None:
    other = Lake(tmp_path / "two", storage)
    for each in (lake, other):
        log = Log(each.paths["ops"])
        log.write([row(1)])
        log.close()
    assert other.shipping.ship()
    assert lake.shipping.ship()
    # A stack that is served looks again in the background only, and this one does not come to it.
    waits = threading.Event()
    lake.shipping.start(waits.wait)
    query = query_of(lake)
    assert query.query("SELECT count(*) FROM ops").rows == [[2]]
    for key in other.objects("ops"):
        store_of(storage).delete(key)
    assert query.query(f"SELECT replica, n FROM ops WHERE replica = '{lake.own}'").rows == [[lake.own, 1]]
    with pytest.raises(Unavailable):
        query.query("SELECT count(*) FROM ops")
    lake.shipping.rewrite(bytes)
    assert query.query("SELECT count(*) FROM ops").rows == [[1]]
    waits.set()
    lake.shipping.close()


def test_statement_that_needs_no_other_lake_needs_no_bucket(
    lake: Lake, tmp_path: Path, storage: settings.Storage, query_of: Callable[[Lake], Query]
) -> None:
    log = Log(lake.paths["ops"])
    log.write([row(1)])
    log.close()
    assert lake.shipping.ship()
    away = Lake(tmp_path / "two", msgspec.structs.replace(storage, endpoint=f"http://127.0.0.1:{free_ports(1)[0]}"))
    away.shipping.ship()
    query = query_of(away)
    assert query.query("SELECT 1").rows == [[1]]
    with pytest.raises(Unavailable, match="'ops' cannot be read"):
        query.query("SELECT * FROM ops")


def test_objects_are_written_over_also_when_their_lake_writes_meanwhile(
    lake: Lake, tmp_path: Path, storage: settings.Storage
) -> None:
    other = Lake(tmp_path / "two", storage)
    log = Log(other.paths["ops"])
    log.write([row(n, "Ida Wells") for n in range(50)])
    assert other.shipping.ship()
    more = iter(range(50, 53))

    def over(data: bytes) -> bytes:
        for n in more:
            log.write([row(n)])
            assert other.shipping.ship()
            break
        return data.replace(b"Ida Wells", b"xxxxxxxxx")

    lake.shipping.rewrite(over)
    log.close()
    assert next(more, None) is None
    there = other.there("ops")
    assert b"Ida" not in there
    assert len(there) == len(other.here("ops"))
    assert dict(lake.shipping.contents()).keys() == {f"{storage.logs}/{key}" for key in other.objects("ops")}
    # What lies there goes on to grow where it was.
    other.paths["ops"].write_bytes(there)
    assert other.shipping.ship()
    assert other.there("ops") == there


def test_newest_object_of_each_log_is_written_over(lake: Lake) -> None:
    for path in lake.paths.values():
        log = Log(path)
        log.write([row(n, "Ida Wells") for n in range(50)])
        log.close()
    assert lake.shipping.ship()
    lake.shipping.rewrite_newest(lambda data: data.replace(b"Ida", b"xxx"))
    for name in lake.paths:
        *others, newest = lake.objects(name).values()
        assert b"Ida" not in newest
        assert all(b"Ida" in data for data in others)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_comes_back_that_another_lake_writes_over_while_this_one_goes_on(
    tmp_path: Path, storage: settings.Storage, seed: int
) -> None:
    """As replicas do: one tells the other and goes through all objects, the other acts when it comes to it."""
    lots = random.Random(seed)
    told, erased, stopped, rounds = (threading.Event() for _ in range(4))
    lake = Lake(tmp_path / "one", storage)
    other = Lake(tmp_path / "two", storage, held=lambda: told.is_set() and not erased.is_set())
    log = Log(other.paths["ops"], max_bytes=4_000)

    def over(data: bytes) -> bytes:
        return data.replace(b"Ida Wells", b"xxxxxxxxx")

    def ship() -> None:
        while not stopped.is_set():
            other.shipping.ship()
            rounds.set()

    log.write([row(n, "Ida Wells") for n in range(100)])
    shipper = threading.Thread(target=ship)
    shipper.start()
    for n in range(lots.randrange(100)):
        log.write([row(n, "Ida Wells")])
    told.set()
    if lots.random() < 0.5:
        lake.shipping.rewrite(over)
    eraser = threading.Thread(target=lake.shipping.rewrite, args=(over,))
    eraser.start()
    # It does not come to it at once.
    log.write([row(n, "Ida Wells") for n in range(lots.randrange(100))])
    if lots.random() < 0.5:
        eraser.join()
    rounds.clear()
    rounds.wait()
    for file in files(other.paths["ops"]):
        with file.open("r+b") as opened:
            data = opened.read()
            opened.seek(0)
            opened.write(over(data))
    other.shipping.rewrite_newest(over)
    erased.set()
    for n in range(lots.randrange(100)):
        log.write([row(n, "somebody")])
    eraser.join()
    stopped.set()
    shipper.join()
    log.close()
    assert other.shipping.ship()
    assert b"Ida" not in other.there("ops")
    assert other.there("ops") == other.here("ops")


def test_copied_folder_puts_its_logs_under_another_id(tmp_path: Path) -> None:
    first = tmp_path / "one"
    first.mkdir()
    assert own_id(first) == own_id(first)
    copy = tmp_path / "two"
    copy.mkdir()
    (copy / "logs.id").write_bytes((first / "logs.id").read_bytes())
    assert own_id(copy) != own_id(first)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"logs": "logs"}, "is no place"),
        ({"logs": "s3://"}, "is no place"),
        ({"logs": "s3://lake/logs", "backend": "s3", "bucket": "lake"}, "lies among the objects"),
        ({"logs": "s3://lake/a/logs", "backend": "s3", "bucket": "lake", "prefix": "a/"}, "lies among the objects"),
        ({"logs": "s3://lake/logs", "logs_every_s": 0}, "above 0"),
    ],
)
def test_place_that_cannot_be_one_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Shipping(settings.Storage(**options), {}, "a")
    Shipping(settings.Storage(logs="s3://lake/logs", backend="s3", bucket="lake", prefix="objects"), {}, "a")
