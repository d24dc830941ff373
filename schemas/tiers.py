"""Plan tiers and the granularities each may read."""

from enum import StrEnum

from schemas.grain import Grain


class Tier(StrEnum):
    PAYG = "payg"
    STARTER = "starter"
    GROWTH = "growth"
    SCALE = "scale"
    CUSTOM = "custom"

    @property
    def grains(self) -> tuple[Grain, ...]:
        """The granularities this tier may read, coarsest first."""
        return _GRAINS[self]

    @property
    def finest(self) -> Grain:
        """The finest granularity this tier may read."""
        return _GRAINS[self][-1]


_DAY, _HOUR, _MINUTE = (Grain.DAY,), (Grain.DAY, Grain.HOUR), (Grain.DAY, Grain.HOUR, Grain.MINUTE)
_GRAINS = {Tier.PAYG: _DAY, Tier.STARTER: _DAY, Tier.GROWTH: _HOUR, Tier.SCALE: _MINUTE, Tier.CUSTOM: _MINUTE}

DEFAULT_TIER = Tier.PAYG
"""The tier of an organization that has none stored."""
