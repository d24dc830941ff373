"""Windows for property tests."""

from hypothesis import strategies as st

from api.window import Window
from schemas.grain import Grain

GRAINS = st.sampled_from(Grain)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    grain, first, count = draw(GRAINS), draw(st.integers(1_000, 20_000)), draw(st.integers(1, 500))
    return Window(grain, first * grain.seconds, (first + count) * grain.seconds)
