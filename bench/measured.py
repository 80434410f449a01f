"""What the runs of one contestant took. Not for: running it (`run`), comparing it (`results`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from bench.contestants import Contestant
from bench.processes import Took


@dataclass
class Measured:
    """The figures of all rounds.

    Attributes:
        contestant: Of which.
        seconds: Of each round.
        peaks: Bytes of memory at the most, of each round.
        steps: Seconds of the steps of the load, of each round; only of `itself`.
    """

    contestant: Contestant
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    steps: list[Mapping[str, float]] = field(default_factory=list)

    def add(self, took: Took) -> None:
        """One more round; some say their own seconds."""
        if self.contestant.says_seconds:
            told = json.loads(took.said)
            self.seconds.append(told["seconds"])
            if told["steps"]:
                self.steps.append(told["steps"])
        else:
            self.seconds.append(took.seconds)
        self.peaks.append(took.peak)

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return median(self.seconds)

    @property
    def peak(self) -> int:
        """The most bytes of any round."""
        return max(self.peaks)
