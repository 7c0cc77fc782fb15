"""What keeps other pages away from this one, and this one away from everything else."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from lakehouse.errors import PermissionDenied

# Nothing inline, nothing from elsewhere, nobody around it. `same-origin` keeps demands out of other sites' logs while
# browsers still name the origin of a posted form, which the check below needs.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def require_same_origin(request: Request) -> None:
    """Refuse a form that another site's page has posted.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones and plain HTTP only in `Origin`.
    A request with neither does not come from a page, so no visitor's standing can be abused by it.

    Raises:
        PermissionDenied: The request comes from a page of another origin.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in {"same-origin", "none"}:
            return
        raise _foreign(site)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise _foreign(origin)


def _foreign(origin: str) -> PermissionDenied:
    return PermissionDenied(
        f"This was sent from a page of another site ({origin}). Open the console itself and send it from there.",
        origin=origin,
    )
