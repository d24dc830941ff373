"""Late keys in columns: sets of (minute, organization)."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.late_keys import Key, LateKeys, split

KEYS = st.lists(st.tuples(st.integers(0, 10**8), st.sampled_from(["", "a", "b", "é"])), max_size=8)


@given(st.lists(KEYS, max_size=4), KEYS)
def test_keys_in_columns_are_sets_of_pairs(several: list[list[Key]], other: list[Key]) -> None:
    columns = [LateKeys.listed(*keys) for keys in several]
    union = LateKeys.union(columns)
    assert list(union) == list(dict.fromkeys(union)), "distinct"
    assert set(union) == {key for keys in several for key in keys}
    ((shared, rest),) = split([union], [LateKeys.listed(*other), *columns[:1]])
    known = {*other, *(several[0] if several else [])}
    assert set(shared) == set(union) & known
    assert set(rest) == set(union) - known
    assert len(shared) + len(rest) == len(union)
    assert [key for part in union.parts(2) for key in part] == list(union)
    assert [int(minute) for minute in union.minutes] == [minute for minute, _ in union]
    assert [union.orgs[place] for place in union.places] == [org for _, org in union]
