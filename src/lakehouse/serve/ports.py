"""Listening sockets: bound before anything heavy is opened, with a clear word on who holds a taken port."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import msgspec

from lakehouse.errors import InvalidInput, PermissionDenied, Unavailable

_LISTENING = "0A"
_BACKLOG = 2048


class Holder(msgspec.Struct, frozen=True):
    """The process that listens on a port."""

    pid: int
    command: str


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket, not inheritable; port 0 takes any free one.

    Raises:
        Unavailable: The port is taken; the message names its holder where that can be seen.
        InvalidInput: The host is not an address of this machine, or the port is no port.
        PermissionDenied: The port is reserved for privileged users.
    """
    if not 0 <= port <= 65535:
        raise InvalidInput(f"port {port} is not between 0 and 65535", field="server.port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise InvalidInput(f"host {host!r} is not an address: {error.strerror}", field="server.host") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(error, host, port) from None
    return listener


def _refused(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        found = holder(port)
        who = f"process {found.pid} ({found.command})" if found else "another process"
        return Unavailable(
            f"port {port} on {host} is held by {who}; stop it or choose another with --port",
            port=port,
            **({"pid": found.pid, "command": found.command} if found else {}),
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PermissionDenied(f"port {port} is reserved; choose one above 1023 with --port", port=port)
    return InvalidInput(f"cannot listen on {host}: {error.strerror}", field="server.host")


def holder(port: int, *, proc: Path = Path("/proc")) -> Holder | None:
    """Find who listens on a port of this machine, as far as this user may see; None otherwise."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return None
    for process in proc.glob("[0-9]*"):
        if sockets & _open_sockets(process):
            return Holder(int(process.name), _command(process))
    return None


def _inodes(port: int, proc: Path) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _open_sockets(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            found.add(str(descriptor.readlink()))
    except OSError:
        # Another user's process, or one that has just ended: what was seen so far must do.
        return found
    return found


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "unknown"
    return b" ".join(words).decode("utf-8", "replace")[:200]
