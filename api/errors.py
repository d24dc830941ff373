"""Refusals of the API, as exceptions that carry status, code and message, and the JSON they become.

::

    ApiError
    ├── Unauthorized        401   one text for every fault of the key
    ├── Forbidden           403
    ├── NotFound, MethodNotAllowed   404, 405
    ├── ValidationFailed    422   all parameters at once
    ├── InvalidInput        422   a cursor that does not verify, or disagrees with a parameter
    ├── GranularityNotAvailable, WindowTooLarge   422
    ├── BadRequest          400   bytes that are no HTTP request
    ├── RequestTimeout      408   bytes that come too slowly to be a request
    ├── PayloadTooLarge, UriTooLong, HeadersTooLarge   413, 414, 431
    ├── RateLimited         429
    └── Unavailable         503
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from starlette.responses import Response


class ApiError(Exception):
    """Base: ``details`` is left out of the answer where it is None. ``message`` and ``headers`` replace the class's."""

    status = 500
    code = "INTERNAL"
    message = "internal error"
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        details: Mapping[str, Any] | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or self.message)
        self.details = details
        self.message = message or self.message
        self.headers = self.headers if headers is None else headers


class Unauthorized(ApiError):
    status, code, message = 401, "UNAUTHORIZED", "authentication failed"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class Forbidden(ApiError):
    status, code, message = 403, "FORBIDDEN", "missing required scope"


class NotFound(ApiError):
    status, code, message = 404, "NOT_FOUND", "no such resource"


class MethodNotAllowed(ApiError):
    status, code, message = 405, "METHOD_NOT_ALLOWED", "method not allowed"


class ValidationFailed(ApiError):
    status, code, message = 422, "VALIDATION_FAILED", "validation failed"


class InvalidInput(ApiError):
    status, code, message = 422, "INVALID_INPUT", "invalid input"


class GranularityNotAvailable(ApiError):
    status, code = 422, "GRANULARITY_NOT_AVAILABLE"
    message = "granularity not available at this plan tier"


class WindowTooLarge(ApiError):
    status, code, message = 422, "WINDOW_TOO_LARGE", "window has too many buckets"


class BadRequest(ApiError):
    status, code, message = 400, "BAD_REQUEST", "bad request"


class RequestTimeout(ApiError):
    status, code, message = 408, "REQUEST_TIMEOUT", "the request did not arrive in time"


class PayloadTooLarge(ApiError):
    status, code, message = 413, "PAYLOAD_TOO_LARGE", "requests of this service have no body"


class UriTooLong(ApiError):
    status, code, message = 414, "URI_TOO_LONG", "the request line is longer than 32 KiB"


class HeadersTooLarge(ApiError):
    status, code, message = 431, "HEADERS_TOO_LARGE", "the headers are longer than 64 KiB or more than 500"


class RateLimited(ApiError):
    status, code, message = 429, "RATE_LIMITED", "too many queries at once"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class Unavailable(ApiError):
    status, code, message = 503, "UNAVAILABLE", "metrics are unavailable at the moment"
    headers: Mapping[str, str] = {"Retry-After": "2"}


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    message: str
    request_id: str
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Error(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    success: Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]
    error: Problem


def of_framework(status: int, detail: str, headers: Mapping[str, str]) -> ApiError:
    """Translate a refusal of Starlette's into one of ours. It refuses paths, methods, and requests it cannot read."""
    kinds: Mapping[int, type[ApiError]] = {404: NotFound, 405: MethodNotAllowed}
    if status in kinds:
        return kinds[status](headers=headers)
    return BadRequest(message=detail[:1].lower() + detail[1:], headers=headers)


def failure(error: ApiError, request_id: str) -> bytes:
    """The body of a refusal."""
    details = msgspec.UNSET if error.details is None else dict(error.details)
    return msgspec.json.encode(Error(False, Problem(error.code, error.message, request_id, details)))


def respond(error: ApiError, request_id: str) -> Response:
    """The refusal as a response that nobody may cache."""
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(failure(error, request_id), error.status, headers=headers, media_type="application/json")
