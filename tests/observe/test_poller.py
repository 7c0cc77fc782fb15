"""New mail from a maildir and from an IMAP server."""

import imaplib
import mailbox
import socketserver
import threading
import time

import pytest

from lakehouse import settings
from lakehouse.errors import InvalidInput, Unavailable
from lakehouse.observe.poller import Poller

MAIL = b"From: bob@example.com\r\nSubject: Order\r\nMessage-ID: <%d@x>\r\n\r\nNeed %d cooks in Akron OH\r\n"


@pytest.fixture
def box(tmp_path):
    return mailbox.Maildir(tmp_path / "mail", create=True)


def test_maildir_is_taken_in_and_marked(box, inbox, tmp_path):
    for number in range(3):
        box.add(MAIL % (number, number + 2))
    poller = Poller(settings.Inbox(maildir=str(tmp_path / "mail")), inbox.take)
    assert poller.poll() == 3
    assert poller.poll() == 0
    assert [message.get_flags() for message in box] == ["S"] * 3
    assert not list((tmp_path / "mail" / "new").iterdir())
    assert {message.kind for message in inbox.list().messages} == {"demand"}


def test_mail_stays_where_it_is_while_the_inbox_is_out_of_reach(box, tmp_path):
    box.add(MAIL % (1, 2))

    def take(_):
        raise Unavailable("disk full")

    poller = Poller(settings.Inbox(maildir=str(tmp_path / "mail")), take)
    with pytest.raises(Unavailable):
        poller.poll()
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 1


def test_mail_that_is_refused_does_not_hold_up_the_next(box, inbox, tmp_path):
    box.add(b"From: a@b\r\nMessage-ID: <empty@x>\r\n\r\n \r\n")
    box.add(MAIL % (1, 2))
    assert Poller(settings.Inbox(maildir=str(tmp_path / "mail")), inbox.take).poll() == 1
    assert not list((tmp_path / "mail" / "new").iterdir())


def test_folder_that_is_no_maildir_is_named(inbox, tmp_path):
    with pytest.raises(InvalidInput, match="maildir"):
        Poller(settings.Inbox(maildir=str(tmp_path)), inbox.take).poll()


def test_thread_takes_in_what_comes(box, inbox, tmp_path):
    poller = Poller(settings.Inbox(maildir=str(tmp_path / "mail"), poll_every_ms=5), inbox.take)
    poller.start()
    box.add(MAIL % (1, 2))
    until = time.monotonic() + 30
    while not inbox.list().messages and time.monotonic() < until:
        time.sleep(0.01)
    poller.close()
    assert len(inbox.list().messages) == 1


class Mailbox(socketserver.StreamRequestHandler):
    """As much of an IMAP server as a poller talks to."""

    def handle(self):
        mails, seen = self.server.mails, self.server.seen
        self.wfile.write(b"* OK ready\r\n")
        for line in self.rfile:
            tag, _, command = line.strip().partition(b" ")
            word = command.split(b" ")[0].upper()
            if command.upper().startswith(b"UID SEARCH"):
                self.wfile.write(b"* SEARCH %s\r\n" % b" ".join(b"%d" % uid for uid in mails if uid not in seen))
            elif command.upper().startswith(b"UID FETCH"):
                data = mails[int(command.split()[2])]
                self.wfile.write(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%s)\r\n" % (len(data), data))
            elif command.upper().startswith(b"UID STORE"):
                seen.add(int(command.split()[2]))
            elif word == b"CAPABILITY":
                self.wfile.write(b"* CAPABILITY IMAP4rev1\r\n")
            elif word == b"SELECT" and b"Orders" not in command:
                self.wfile.write(tag + b" NO no such folder\r\n")
                continue
            self.wfile.write(tag + b" OK done\r\n")
            if word == b"LOGOUT":
                return


@pytest.fixture
def server():
    made = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)
    made.daemon_threads = True
    made.mails = {7: MAIL % (1, 2), 9: MAIL % (2, 3)}
    made.seen = set()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def imap(server, inbox, folder="Orders"):
    config = settings.Inbox(imap_host="127.0.0.1", imap_user="bob", imap_folder=folder)
    return Poller(
        config, inbox.take, password="secret", open_imap=lambda: imaplib.IMAP4("127.0.0.1", server.server_address[1])
    )


def test_imap_folder_is_taken_in_and_marked(server, inbox):
    assert imap(server, inbox).poll() == 2
    assert server.seen == {7, 9}
    assert imap(server, inbox).poll() == 0
    assert sorted(message.asks[0] for message in inbox.list().messages) == ["2 x cook in Akron", "3 x cook in Akron"]


def test_imap_folder_that_is_not_there_is_named(server, inbox):
    with pytest.raises(InvalidInput, match="imap_folder"):
        imap(server, inbox, folder="Nothing").poll()
    assert server.seen == set()
