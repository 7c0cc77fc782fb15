import socket

import httpx
import pytest


def test_network_elsewhere_cannot_be_reached_from_a_test():
    with pytest.raises(ConnectionRefusedError, match="loopback only"):
        socket.create_connection(("192.0.2.1", 9), timeout=0.01)
    with pytest.raises(ConnectionRefusedError, match="loopback only"):
        socket.getaddrinfo("stack.example", 80)
    with pytest.raises(httpx.ConnectError, match="loopback only"):
        httpx.get("http://stack.example/")


def test_network_loopback_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        with server.accept()[0] as accepted:
            assert accepted.recv(1) == b"x"
