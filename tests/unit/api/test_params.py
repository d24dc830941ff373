"""The query string: parameters refused by name, all at once."""

import pytest

from api.errors import ValidationFailed
from api.params import parse_query
from schemas.instant import Instant

NOW = Instant(1_778_000_000)


def problems(query: str) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as error:
        parse_query(query.encode(), NOW)
    assert error.value.details is not None
    return dict(error.value.details)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", {"metric"}),
        ("metric=", {"metric"}),
        ("metric=read", {"metric"}),
        ("metric=sent&metric=sent", {"metric"}),
        ("metric=sent&from=2026-05-05", {"from"}),
        ("metric=sent&from=2026-05-05T00:00:00", {"from"}),
        ("metric=sent&from=2026-05-05T00:00:00+02:00", {"from"}),  # + arrives as a space
        ("metric=sent&to=1999-12-31T23:59:59Z", {"to"}),
        ("metric=sent&to=2101-01-01T00:00:00Z", {"to"}),
        ("metric=sent&to=2026-02-30T00:00:00Z", {"to"}),
        ("metric=sent&to=%D9%A2026-05-05T00:00:00Z", {"to"}),
        ("metric=sent&granularity=week", {"granularity"}),
        ("metric=sent&group_by=org", {"group_by"}),
        ("metric=sent&compare_to=last_year", {"compare_to"}),
        ("metric=sent&updated_since=2000-01-01T00:00:00Z", {"from"}),
        ("metric=sent&from=2026-05-05T00:00:00Z&updated_since=yesterday", {"updated_since"}),
        (
            "metric=sent&from=2026-05-05T00:00:00Z&updated_since=2000-01-01T00:00:00Z&compare_to=prior_period",
            {"updated_since"},
        ),
        ("cursor=x&updated_since=2000-01-01T00:00:00Z&compare_to=prior_period", {"updated_since"}),
        *(
            (f"metric=sent&limit={limit}", {"limit"})
            for limit in ("0", "5001", "-1", "1.0", "1_000", "%D9%A1", "", "1e3")
        ),
        ("metric=sent&org_id=other&foo=1", {"org_id", "foo"}),
        ("metric=x&from=y&limit=z", {"metric", "from", "limit"}),
        ("metric=sent&from=%FF", {"from"}),
        ("metric=sent&%FF=1&limit=0", {"\ufffd", "limit"}),
        ("metric=sent&from=2026-05-03T00:00:00Z&to=2026-05-01T00:00:00Z&limit=0", {"from", "limit"}),
        ("cursor=x&from=2026-05-03T00:00:00Z&to=2026-05-01T00:00:00Z", {"from"}),
        ("metric=sent&from=2000-01-01T00:00:00%2B23:00&to=2000-01-02T00:00:00Z", {"from"}),
        ("metric=sent&to=2100-12-31T23:59:59-23:00", {"to"}),
        ("metric=sent&" + "&".join(f"a{i}=1" for i in range(200)), {"query"}),
    ],
)
def test_what_is_not_understood_is_refused_by_name_all_at_once(query: str, named: set[str]) -> None:
    assert set(problems(query)) == named


def test_from_must_be_before_to() -> None:
    for query in ("from=2026-05-05T00:00:00Z&to=2026-05-05T00:00:00Z", "from=2099-01-01T00:00:00Z"):
        assert list(problems("metric=sent&" + query)) == ["from"]


def test_instants_keep_the_digits_of_their_fraction() -> None:
    query = parse_query(b"metric=sent&from=2026-05-05T00:00:00.000Z&to=2026-05-05T02:00:00.001%2B02:00", NOW)
    assert query.since == Instant(1_777_939_200)
    assert query.until == Instant(1_777_939_200, "001")
