"""Refusals."""

import json

import pytest

from api.errors import ApiError, MethodNotAllowed, failure, of_framework


def test_every_error_has_a_status_and_a_code() -> None:
    for kind in ApiError.__subclasses__():
        assert 400 <= kind.status < 600
        assert kind.code.isupper()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "NOT_FOUND", "no such resource"),
        (405, "METHOD_NOT_ALLOWED", "method not allowed"),
        (400, "BAD_REQUEST", "no such thing"),
    ],
)
def test_a_refusal_of_the_framework_is_one_of_ours_with_its_headers(status: int, code: str, message: str) -> None:
    error = of_framework(status, "No such thing", {"Allow": "GET"})
    assert (error.status, error.code, error.headers) == (status, code, {"Allow": "GET"})
    assert json.loads(failure(error, "id"))["error"] == {"code": code, "message": message, "request_id": "id"}
    assert MethodNotAllowed().headers == {}, "what one error carries does not stay with the next"
