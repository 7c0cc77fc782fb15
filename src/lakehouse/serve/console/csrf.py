"""Proof that a form comes from a page that this console gave to this very browser.

Each browser keeps a secret in a cookie, and each form carries a token made from it. Another site's page can make the
browser send the cookie, but can neither read it nor make the token. The session goes into the token too: what was made
before somebody logged in or out is refused after it, and so is a secret that somebody else planted in the browser.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from lakehouse.errors import PermissionDenied
from lakehouse.serve.doors import COOKIE as SESSION

COOKIE = "lakehouse_forms"
FIELD = "csrf"
HEADER = "X-CSRF-Token"
_YEAR_S = 365 * 24 * 3600
_SHORTEST = 32


class Proof(msgspec.Struct, frozen=True):
    """What the forms of one page carry; in a template it is the hidden field itself.

    >>> Proof("ab12").__html__()
    '<input type="hidden" name="csrf" value="ab12">'

    Attributes:
        token: For the field, or the header of a script.
        secret: New one for the browser's cookie, empty when it has one.
    """

    token: str
    secret: str = ""

    def __html__(self) -> str:
        """Return the hidden field."""
        return f'<input type="hidden" name="{FIELD}" value="{self.token}">'

    def keep(self, request: Request, response: Response) -> None:
        """Give the browser its secret, if it had none."""
        if self.secret:
            # Lax: a page opened by a link from elsewhere must not think that there is none, and make another.
            response.set_cookie(
                COOKIE,
                self.secret,
                max_age=_YEAR_S,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )


def proof(request: Request, *, session: bool = True) -> Proof:
    """Return what the forms of a page carry.

    Args:
        request: Asks for the page.
        session: Whether the forms are of the session; those that begin one are not.
    """
    kept = _secret(request)
    secret = kept or secrets.token_urlsafe(_SHORTEST)
    return Proof(_token(secret, request, session), "" if kept else secret)


def require(request: Request, given: object, *, session: bool = True) -> None:
    """Refuse a form without the token of this browser, in the field or in the header.

    Args:
        request: Sends the form.
        given: What its field holds.
        session: As for `proof`.

    Raises:
        PermissionDenied: The token is absent or another one.
    """
    secret = _secret(request)
    sent = request.headers.get(HEADER) or (given if isinstance(given, str) else "")
    expected = _token(secret, request, session)
    if not secret or not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
        raise PermissionDenied(
            "Nothing was done: this was not sent from a page that the console gave to this browser, or that page is"
            " from before you logged in or out. Load the page again and send it from there; the browser must keep"
            " cookies of this site.",
            field=FIELD,
        )


def field_of(body: bytes) -> str:
    """Return the token in the body of a form, empty without one."""
    return parse_qs(body.decode("utf-8", "replace")).get(FIELD, [""])[-1]


def _secret(request: Request) -> str:
    kept = request.cookies.get(COOKIE, "")
    return kept if len(kept) >= _SHORTEST else ""


def _token(secret: str, request: Request, session: bool) -> str:
    of = request.cookies.get(SESSION, "") if session else ""
    return hmac.new(secret.encode(), f"form {of}".encode(), "sha256").hexdigest()
