"""What is asked of a deployment, at any rate: drawn from lengths, or as it was recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tandem.simulation.episodes import NEVER, Trouble
from tandem.simulation.lengths import Lengths
from tandem.simulation.traffic import Questions, Traffic, draw_traffic

BURSTS: Final = Trouble(share=0.1, mean_seconds=5.0)
"""When more arrive, if more do at times."""
MOST_LINES: Final = 1_000_000


class BadTrace(Exception):
    """A file is no trace; the message says where and why."""


class Demand(Protocol):
    """What is asked, without how often."""

    def sample(self, requests: int, random: np.random.Generator) -> Questions:
        """Return so many questions, for their means."""
        ...

    def traffic(self, per_second: float, requests: int, random: np.random.Generator) -> Traffic:
        """Return so many requests that come at a mean rate."""
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """Requests that are independent of each other and come by chance."""

    prompt: Lengths
    answer: Lengths
    deadline: float
    """Seconds that the client grants."""
    pro_share: float
    """Part of the requests that R1 is more likely to fail at than not."""
    burst: float = 1.0
    """Arrivals in a burst, as a multiple of those outside; 1: there are none."""

    def sample(self, requests: int, random: np.random.Generator) -> Questions:
        """Return so many questions."""
        hard = random.random(requests) < self.pro_share
        doubt = np.where(hard, random.uniform(0.55, 1.0, requests), random.uniform(0.0, 0.45, requests))
        return Questions(
            deadlines=np.full(requests, self.deadline),
            prompt_tokens=self.prompt.draw(requests, random),
            wanted_tokens=self.answer.draw(requests, random),
            r1_suffices=1.0 - doubt,
            expected_gain=doubt,
        )

    def traffic(self, per_second: float, requests: int, random: np.random.Generator) -> Traffic:
        """Return so many requests: a Poisson process, denser in bursts."""
        bursts = BURSTS if self.burst > 1.0 else NEVER
        return draw_traffic(self.sample(requests, random), per_second, bursts, random, self.burst)


class Line(BaseModel):
    """One line of a trace."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    at: float = Field(ge=0)
    """Seconds since the trace began."""
    prompt_tokens: int = Field(ge=1, le=10**7)
    answer_tokens: int = Field(ge=1, le=10**7)
    deadline: float | None = Field(default=None, gt=0)
    """Seconds that the client grants."""
    complexity: float | None = Field(default=None, ge=0, le=10)
    """As the classifier has it, 0 to 10; below 5, R1 suffices more likely than not."""
    r1_suffices: float | None = Field(default=None, ge=0, le=1)
    """Probability that R1 suffices, in place of the complexity."""


class Recorded:
    """Requests as they were recorded, and at other rates requests like them.

    At a lower rate some are left out by chance, at a higher one some come several times, the copies anywhere until the
    next request. So the rate rises and falls when it did in the recording. A recording that is too short begins anew.

    Args:
        arrivals: seconds, rising.
        questions: what was asked.
    """

    def __init__(self, arrivals: np.ndarray, questions: Questions) -> None:
        self._arrivals = arrivals - arrivals[0]
        self._questions = questions
        many = len(arrivals)
        # The last one is followed by the first one after a usual pause.
        self._seconds = float(self._arrivals[-1]) * many / (many - 1)

    @property
    def per_second(self) -> float:
        """Mean rate of the recording."""
        return len(self._arrivals) / self._seconds

    def sample(self, requests: int, random: np.random.Generator) -> Questions:
        """Return all questions that were recorded."""
        return self._questions

    def traffic(self, per_second: float, requests: int, random: np.random.Generator) -> Traffic:
        """Return so many requests at a mean rate."""
        many, copies = len(self._arrivals), per_second / self.per_second
        rounds = math.ceil(1.2 * requests / (copies * many)) + 1
        index = np.tile(np.arange(many), rounds)
        starts = np.tile(self._arrivals, rounds) + np.repeat(np.arange(rounds) * self._seconds, many)
        repeated = math.floor(copies) + (random.random(len(index)) < copies - math.floor(copies))
        gaps = np.diff(starts, append=starts[-1])
        index = np.repeat(index, repeated)
        moved = random.random(len(index)) if copies > 1.0 else 0.0
        arrivals = np.repeat(starts, repeated) + moved * np.repeat(gaps, repeated)
        order = np.argsort(arrivals, kind="stable")[:requests]
        return _taken(self._questions, arrivals[order], index[order])


def _taken(questions: Questions, arrivals: np.ndarray, index: np.ndarray) -> Traffic:
    return Traffic(
        arrivals=arrivals.tolist(),
        deadlines=questions.deadlines[index].tolist(),
        prompt_tokens=questions.prompt_tokens[index].tolist(),
        wanted_tokens=questions.wanted_tokens[index].tolist(),
        r1_suffices=questions.r1_suffices[index].tolist(),
        expected_gain=questions.expected_gain[index].tolist(),
    )


def read_trace(file: Path, otherwise: Drawn, random: np.random.Generator) -> Recorded:
    """Read a trace: a JSON object on each line; what a line leaves out is as in `otherwise`.

    Raises:
        BadTrace: a line is none, or there are fewer than two times.
        OSError: the file cannot be read.
    """
    lines = sorted(_lines(file), key=lambda line: line.at)
    if len(lines) < 2 or lines[0].at == lines[-1].at:
        raise BadTrace(f"{file}: needs two requests or more, at different times")
    drawn = otherwise.sample(len(lines), random)
    suffices = np.array(
        [_suffices(line, float(other)) for line, other in zip(lines, drawn.r1_suffices, strict=True)]
    )
    questions = Questions(
        deadlines=np.array([line.deadline or otherwise.deadline for line in lines]),
        prompt_tokens=np.array([line.prompt_tokens for line in lines]),
        wanted_tokens=np.array([line.answer_tokens for line in lines]),
        r1_suffices=suffices,
        expected_gain=1.0 - suffices,
    )
    return Recorded(np.array([line.at for line in lines]), questions)


def _suffices(line: Line, otherwise: float) -> float:
    if line.r1_suffices is not None:
        return line.r1_suffices
    return 1.0 - line.complexity / 10.0 if line.complexity is not None else otherwise


def _lines(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8", errors="replace") as text:
        for number, line in enumerate(text, start=1):
            if number > MOST_LINES:
                raise BadTrace(f"{file}: has more than {MOST_LINES} lines; give a part of it")
            if not line.strip():
                continue
            try:
                yield Line.model_validate(json.loads(line))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise BadTrace(f"{file}:{number}: {place}: {first['msg']}") from None
            except ValueError as error:
                raise BadTrace(f"{file}:{number}: is not a JSON object ({error})") from None
