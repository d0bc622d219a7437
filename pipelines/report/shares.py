"""Shares of two groups, compared."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

CLEARLY = 4
"""Standard errors by which one share is clearly larger than another."""


class Share(NamedTuple):
    """So many of a number, which is not 0."""

    part: int
    number: int

    @property
    def fraction(self) -> float:
        return self.part / self.number

    def exceeds(self, other: Share, by: float = 0) -> bool:
        """Whether it is larger than that of another group by this fraction, and clearly so."""
        number = self.number + other.number
        mean = (self.part + other.part) / number
        error = sqrt(mean * (1 - mean) * (1 / self.number + 1 / other.number))
        return self.fraction - other.fraction > max(CLEARLY * error, by)
