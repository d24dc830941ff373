"""What the API answers when it cannot answer, as exceptions that carry status, code and message.

::

    ApiError
    ├── Unauthorized        401   one text for every fault of the key
    ├── Forbidden           403
    ├── ValidationFailed    422   all parameters at once
    ├── InvalidInput        422   a cursor that does not verify, or disagrees with a parameter
    ├── GranularityNotAvailable, WindowTooLarge   422
    ├── RequestTimeout      408   bytes that come too slowly to be a request
    ├── PayloadTooLarge, UriTooLong, HeadersTooLarge   413, 414, 431
    ├── RateLimited         429
    └── Unavailable         503
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """Base: ``details`` is left out of the answer where it is None."""

    status = 500
    code = "INTERNAL"
    message = "internal error"
    headers: Mapping[str, str] = {}

    def __init__(self, details: Mapping[str, Any] | None = None, message: str | None = None) -> None:
        super().__init__(message or self.message)
        self.details = details
        self.message = message or self.message


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


class RequestTimeout(ApiError):
    status, code, message = 408, "REQUEST_TIMEOUT", "the request did not arrive in time"


class PayloadTooLarge(ApiError):
    status, code, message = 413, "PAYLOAD_TOO_LARGE", "requests of this service have no body"


class UriTooLong(ApiError):
    status, code, message = 414, "URI_TOO_LONG", "the request line is longer than 32 KiB"


class HeadersTooLarge(ApiError):
    status, code, message = 431, "HEADERS_TOO_LARGE", "the headers are longer than 64 KiB"


class RateLimited(ApiError):
    status, code, message = 429, "RATE_LIMITED", "too many queries of this organization at once"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class Unavailable(ApiError):
    status, code, message = 503, "UNAVAILABLE", "metrics are unavailable at the moment"
    headers: Mapping[str, str] = {"Retry-After": "2"}


def of_framework(status: int, detail: str, headers: Mapping[str, str]) -> ApiError:
    """What the framework refuses by itself, as one of ours."""
    kinds: dict[int, type[ApiError]] = {404: NotFound, 405: MethodNotAllowed}
    error = kinds[status]() if status in kinds else ApiError(message=detail[:1].lower() + detail[1:])
    if status not in kinds:
        error.status, error.code = status, "BAD_REQUEST"
    error.headers = headers
    return error
