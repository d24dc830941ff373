"""How far two clocks are certainly apart, when one is read over a network."""


def clock_skew_ms(before_ms: int, theirs_ms: int, after_ms: int) -> int:
    """How far their clock is behind (positive) or ahead (negative) of ours, at least; 0 where it may agree.

    Theirs was read at some moment between our two readings. On a busy machine these may lie seconds apart, which says
    nothing about the clocks.

    ::

        ours    before ├──────────────┤ after
        theirs    ^ behind     ^ agrees      ^ ahead
    """
    if theirs_ms < before_ms:
        return before_ms - theirs_ms
    return min(0, after_ms - theirs_ms)
