"""New mail taken into the inbox as it comes, from a maildir or an IMAP folder."""

from __future__ import annotations

import contextlib
import imaplib
import logging
import mailbox
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInput, LakehouseError, TooLarge
from lakehouse.observe import mail
from lakehouse.observe.lines import one_line

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.observe.messages import Receipt

_TIMEOUT_S = 30
_AT_ONCE = 500

Take = Callable[[mail.Mail], "Receipt"]

_log = logging.getLogger(__name__)


class Poller:
    """Looks for new mail every now and then, in a thread of its own.

    A message is marked as seen once the inbox has it on disk; one that comes twice is known by its `Message-ID`. What
    the inbox refuses (no text, too long) is logged and marked as seen; while the inbox or the mail server is out of
    reach, mail stays where it is.

    Args:
        config: The settings section.
        take: Records one e-mail.
        password: For the IMAP server.
        open_imap: Connects to it; by TLS to the server of the settings by default.
    """

    def __init__(
        self,
        config: settings.Inbox,
        take: Take,
        *,
        password: str = "",
        open_imap: Callable[[], imaplib.IMAP4] | None = None,
    ) -> None:
        self._config = config
        self._take = take
        self._password = password
        self._open_imap = open_imap or self._by_tls
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, when a setting names a place to look at."""
        if (self._config.maildir or self._config.imap_host) and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="inbox-poller", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop after the message at hand; idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)

    def poll(self) -> int:
        """Look once, and return how many messages were new.

        Raises:
            LakehouseError, OSError, imaplib.IMAP4.error: A place is out of reach; what was taken in before is kept.
        """
        found = 0
        if self._config.maildir:
            found += self._poll_maildir(Path(self._config.maildir))
        if self._config.imap_host:
            found += self._poll_imap()
        return found

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
            except (LakehouseError, OSError, imaplib.IMAP4.error) as error:
                _log.warning("new mail cannot be taken in: %s", one_line(str(error)))
            except Exception:  # noqa: BLE001 - the next look may fare better
                _log.exception("new mail cannot be taken in")
            self._stop.wait(self._config.poll_every_ms / 1000)

    def _poll_maildir(self, folder: Path) -> int:
        if not (folder / "new").is_dir():
            raise InvalidInput(f"inbox.maildir: {folder} is no maildir (it has no folder 'new')", path=str(folder))
        box = mailbox.Maildir(folder, create=False)
        found = 0
        # Only what is in `new`: the mail program's own reading moves it on.
        for path in sorted((folder / "new").iterdir())[:_AT_ONCE]:
            if self._stop.is_set():
                break
            key = path.name.partition(":")[0]
            with contextlib.suppress(KeyError, FileNotFoundError):
                found += self._taken(path.read_bytes())
                message = box.get_message(key)
                message.set_subdir("cur")
                message.add_flag("S")
                box[key] = message
        return found

    def _poll_imap(self) -> int:
        found = 0
        with self._folder() as server:
            _, answer = server.uid("SEARCH", "UNSEEN")
            for uid in (answer[0] or b"").split()[:_AT_ONCE]:
                if self._stop.is_set():
                    break
                # Not marked as seen by the reading itself, which may fail afterwards.
                _, parts = server.uid("FETCH", uid.decode("ascii"), "(BODY.PEEK[])")
                data = next((part[1] for part in parts if isinstance(part, tuple)), None)
                if data is None:
                    continue
                found += self._taken(data)
                server.uid("STORE", uid.decode("ascii"), "+FLAGS.SILENT", r"(\Seen)")
        return found

    def _taken(self, data: bytes) -> int:
        try:
            each = mail.read(data)
            return int(self._take(each).created)
        except (InvalidInput, TooLarge) as error:
            _log.warning("a mail was not taken in: %s", one_line(error.message))
            return 0

    @contextlib.contextmanager
    def _folder(self) -> Iterator[imaplib.IMAP4]:
        server = self._open_imap()
        try:
            server.login(self._config.imap_user, self._password)
            status, answer = server.select(_quoted(self._config.imap_folder))
            if status != "OK":
                raise InvalidInput(
                    f"inbox.imap_folder {self._config.imap_folder!r} cannot be opened: {one_line(str(answer))}",
                    field="inbox.imap_folder",
                )
            yield server
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                server.logout()

    def _by_tls(self) -> imaplib.IMAP4:
        return imaplib.IMAP4_SSL(self._config.imap_host, self._config.imap_port, timeout=_TIMEOUT_S)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
