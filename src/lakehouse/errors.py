"""Everything that can go wrong, drawn as one tree.

    LakehouseError                 code               HTTP  retryable
    ├── InvalidInput               invalid_input       400  no
    │   └── MethodNotAllowed       invalid_input       405  no
    ├── Unauthenticated            permission_denied   401  no
    ├── PermissionDenied           permission_denied   403  no
    ├── NotFound                   not_found           404  no
    ├── AlreadyExists              already_exists      409  no
    ├── Conflict                   conflict            409  yes
    │   └── WrongState             conflict            409  no
    ├── TooLarge                   limit_exceeded      413  no
    ├── ValidationFailed           validation          422  no
    ├── LimitExceeded              limit_exceeded      429  yes
    ├── IntegrityError             integrity           500  no
    ├── InternalError              internal            500  no
    ├── NotInstalled               not_installed       501  no
    ├── Upstream                   upstream            502  yes
    │   └── UpstreamRefused        upstream            502  no
    ├── Unavailable                unavailable         503  yes
    └── DeadlineExceeded           deadline            504  yes

The same class is raised in process and by a client of a running stack: the body of an error
(`{"error": {"code", "message", "retryable", "detail"}, "trace_id"}`) and its HTTP status name the
class, see `from_wire`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LakehouseError(Exception):
    """Base of every error this product raises on purpose.

    Args:
        message: One sentence that names the field, line or id, and the fix.
        **detail: Facts a program can act on (`field="k"`, `line=7`); JSON types only.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def to_wire(self, trace_id: str = "") -> dict[str, Any]:
        """Return the one JSON shape of an error."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "retryable": self.retryable,
                "detail": self.detail,
            },
            "trace_id": trace_id,
        }


class InvalidInput(LakehouseError):
    """The request, file or setting is wrong as written; sending it again cannot help."""

    code = "invalid_input"
    status = 400


class MethodNotAllowed(InvalidInput):
    """The path exists, but not for this HTTP verb."""

    status = 405


class Unauthenticated(LakehouseError):
    """No valid credential was given."""

    code = "permission_denied"
    status = 401


class PermissionDenied(LakehouseError):
    """The caller, or this process, may not do that."""

    code = "permission_denied"
    status = 403


class NotFound(LakehouseError):
    """The named thing does not exist."""

    code = "not_found"
    status = 404


class AlreadyExists(LakehouseError):
    """The name is taken."""

    code = "already_exists"
    status = 409


class Conflict(LakehouseError):
    """Somebody else changed it first."""

    code = "conflict"
    status = 409
    retryable = True


class WrongState(Conflict):
    """What it is asked of is in a state that does not allow it; until somebody changes that, so is the answer."""

    retryable = False


class TooLarge(LakehouseError):
    """One request is over a size limit."""

    code = "limit_exceeded"
    status = 413


class ValidationFailed(LakehouseError):
    """An artifact did not pass its validator.

    With a `variant` in its detail (`{"Policy": {"reason": ...}}`) that object alone is the body of the answer.
    """

    code = "validation"
    status = 422

    def to_wire(self, trace_id: str = "") -> dict[str, Any]:
        """Return the variant object, or the one JSON shape of an error when there is none."""
        variant = self.detail.get("variant")
        return variant if isinstance(variant, dict) else super().to_wire(trace_id)


class LimitExceeded(LakehouseError):
    """A rate, budget or row limit was reached."""

    code = "limit_exceeded"
    status = 429
    retryable = True


class IntegrityError(LakehouseError):
    """Stored bytes are not what they must be."""

    code = "integrity"


class InternalError(LakehouseError):
    """A defect of this product; the log has the traceback under the trace id."""


class NotInstalled(LakehouseError):
    """An optional part is missing; the message names the install command."""

    code = "not_installed"
    status = 501


class Upstream(LakehouseError):
    """A service this one depends on answered badly."""

    code = "upstream"
    status = 502
    retryable = True


class UpstreamRefused(Upstream):
    """A service this one depends on does not know what is asked of it, or may not do it; asking again cannot help."""

    retryable = False


class Unavailable(LakehouseError):
    """Not ready, shutting down, out of disk or out of reach."""

    code = "unavailable"
    status = 503
    retryable = True


class DeadlineExceeded(LakehouseError):
    """The time limit passed."""

    code = "deadline"
    status = 504
    retryable = True


def _subclasses(cls: type[LakehouseError]) -> list[type[LakehouseError]]:
    return [cls, *(deep for sub in cls.__subclasses__() for deep in _subclasses(sub))]


def from_wire(status: int, body: Any) -> LakehouseError:
    """Rebuild the error that a service answered with.

    Args:
        status: HTTP status of the answer.
        body: Decoded JSON body, of any shape.

    Returns:
        The class whose code and status match, and whether to try again where several do; `Upstream` when the body
        is not one of ours.
    """
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return Upstream(f"unexpected answer with status {status}", status=status)
    message = str(error.get("message", ""))
    detail = error.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    alike = [cls for cls in _subclasses(LakehouseError) if (cls.code, cls.status) == (error["code"], status)]
    if not alike:
        return Upstream(message or f"unknown error code {error['code']}", status=status)
    surely = [cls for cls in alike if cls.retryable is error.get("retryable")]
    return (surely or alike)[-1](message, **detail)
