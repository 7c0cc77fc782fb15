"""Tests talk to this machine only."""

import ipaddress
import sys

import hypothesis

# A busy machine is not a defect: a property test may take its time.
hypothesis.settings.register_profile("lakehouse", deadline=None)
hypothesis.settings.load_profile("lakehouse")


def _loopback_only(event: str, arguments: tuple) -> None:
    """Refuse every connection and look-up that would leave this machine."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    try:
        inside = not host or host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        inside = False
    # Binding asks for the numbers of an address as well, which asks nobody.
    if not inside and not (event == "socket.getaddrinfo" and host.replace(".", "").isdigit()):
        raise ConnectionRefusedError(f"tests talk to loopback only, not to {host}")


def pytest_configure():
    sys.addaudithook(_loopback_only)
