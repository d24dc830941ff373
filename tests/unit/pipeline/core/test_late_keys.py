"""Late keys in columns: sets of (minute, organization)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.late_keys import Key, LateKeys, joined, renumbered

KEYS = st.lists(st.tuples(st.integers(0, 10**8), st.sampled_from(["", "a", "b", "é"])), max_size=8)


@given(KEYS)
def test_keys_in_columns_are_sets_of_pairs(listed: list[Key]) -> None:
    keys = LateKeys.listed(*listed)
    assert list(keys) == list(dict.fromkeys(keys)), "distinct"
    assert set(keys) == set(listed)
    assert [key for part in keys.parts(2) for key in part] == list(keys)
    assert [int(minute) for minute in keys.minutes] == [minute for minute, _ in keys]
    assert [keys.orgs[place] for place in keys.places] == [org for _, org in keys]


@given(st.lists(KEYS, max_size=4))
def test_keys_of_several_sets_are_the_same_by_common_numbers_and_by_fewer(several: list[list[Key]]) -> None:
    places = dict.fromkeys(["unused"], 0)
    codes = [np.sort(LateKeys.listed(*keys).coded(places)) for keys in several]
    fewer, kept = renumbered(codes, places)
    for keys, old, new in zip(several, codes, fewer, strict=True):
        assert set(LateKeys(old, tuple(places))) == set(LateKeys(new, tuple(kept))) == set(keys)
        assert np.all(np.diff(new) > 0), "ascending, as they were"
    assert set(kept) == {org for keys in several for _, org in keys}
    assert list(joined(codes)) == sorted(code for each in codes for code in each.tolist())
