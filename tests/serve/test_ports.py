import os
import socket
import subprocess
import sys

import pytest

from lakehouse.errors import InvalidInput, Unavailable
from lakehouse.serve import ports

LISTEN = """
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def foreign_port():
    """A port held by another process, and that process."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield int(process.stdout.readline()), process
        process.stdin.close()


def test_bind_port_zero_takes_a_free_one():
    with ports.bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
        assert not os.get_inheritable(listener.fileno())


def test_bind_taken_port_names_its_holder(foreign_port):
    port, process = foreign_port
    with pytest.raises(Unavailable) as caught:
        ports.bind("127.0.0.1", port)
    assert f"port {port} on 127.0.0.1 is held by process {process.pid} (" in caught.value.message
    assert "import socket" in caught.value.detail["command"]
    assert caught.value.detail["pid"] == process.pid


def test_bind_taken_port_of_an_unseen_holder_names_the_port(foreign_port, monkeypatch):
    port, _ = foreign_port
    monkeypatch.setattr(ports, "holder", lambda port: None)
    with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 is held by another process"):
        ports.bind("127.0.0.1", port)


def test_bind_ipv6_loopback_listens():
    with ports.bind("::1", 0) as listener:
        assert listener.family == socket.AF_INET6
        assert ports.holder(listener.getsockname()[1]).pid == os.getpid()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65536), ("127.0.0.1", -1), ("192.0.2.7", 0)])
def test_bind_impossible_address_is_refused(host, port):
    with pytest.raises(InvalidInput):
        ports.bind(host, port)


def test_holder_of_a_free_port_is_none():
    with ports.bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    assert ports.holder(port) is None


def test_holder_without_a_process_table_is_none(tmp_path):
    assert ports.holder(3110, proc=tmp_path) is None
