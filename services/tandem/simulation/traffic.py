"""Who asks what, when, and until when: drawn once for a world, the same for whoever answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tandem.simulation.episodes import Span, Trouble, draw


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request."""

    share: float
    """Part of all requests."""
    deadline: float
    """Seconds that the client grants."""
    tokens: float
    """Median length of the answers that the model would give."""


KINDS: Final = (
    Kind(share=0.3, deadline=2.0, tokens=40.0),
    Kind(share=0.4, deadline=5.0, tokens=100.0),
    Kind(share=0.3, deadline=30.0, tokens=250.0),
)
"""Completions while somebody types, chat, and longer texts."""
TOKENS_SIGMA: Final = 0.6
"""Spread of the lengths of answers: standard deviation of their logarithm."""
PROMPT_TOKENS: Final = 300.0
PROMPT_SIGMA: Final = 0.8
LONGEST_PROMPT: Final = 1500
PRO_SHARE: Final = 0.2
"""Part of the requests for which the strong tier is asked first."""
BURST: Final = 3.0
"""Arrivals in a burst, as a multiple of those outside."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests by their number; times in seconds of virtual time."""

    arrivals: list[float]
    deadlines: list[float]
    """Seconds from arrival to deadline."""
    prompt_tokens: list[int]
    wanted_tokens: list[int]
    """Length of the answer that any model would give."""
    r1_suffices: list[float]
    expected_gain: list[float]

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def seconds(self) -> float:
        """How long requests keep coming."""
        return self.arrivals[-1]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked, without when."""

    deadlines: np.ndarray
    prompt_tokens: np.ndarray
    wanted_tokens: np.ndarray
    r1_suffices: np.ndarray
    expected_gain: np.ndarray


def draw_questions(kinds: Sequence[Kind], requests: int, random: np.random.Generator) -> Questions:
    """Return so many questions of several kinds, whose shares add up to 1."""
    drawn = random.choice(len(kinds), requests, p=[kind.share for kind in kinds])
    medians = np.array([kind.tokens for kind in kinds])[drawn]
    lengths = medians * random.lognormal(0.0, TOKENS_SIGMA, requests)
    prompts = PROMPT_TOKENS * random.lognormal(0.0, PROMPT_SIGMA, requests)
    hard = random.random(requests) < PRO_SHARE
    doubt = np.where(hard, random.uniform(0.55, 1.0, requests), random.uniform(0.0, 0.45, requests))
    return Questions(
        deadlines=np.array([kind.deadline for kind in kinds])[drawn],
        prompt_tokens=np.clip(prompts, 1, LONGEST_PROMPT).astype(int),
        wanted_tokens=np.maximum(1, lengths).astype(int),
        r1_suffices=1.0 - doubt,
        expected_gain=doubt * random.uniform(0.0, 1.0, requests),
    )


def draw_traffic(
    questions: Questions,
    per_second: float,
    bursts: Trouble,
    random: np.random.Generator,
    burst: float = BURST,
) -> Traffic:
    """Return when the questions arrive: a Poisson process with a mean rate, `burst` times as dense in bursts."""
    clock = np.cumsum(random.exponential(1.0, len(questions.deadlines)))
    calm = per_second / (1.0 + (burst - 1.0) * bursts.share)
    spans = draw(bursts, 2.0 * float(clock[-1]) / calm, random)
    return Traffic(
        arrivals=_stretched(clock, calm, spans, burst).tolist(),
        deadlines=questions.deadlines.tolist(),
        prompt_tokens=questions.prompt_tokens.tolist(),
        wanted_tokens=questions.wanted_tokens.tolist(),
        r1_suffices=questions.r1_suffices.tolist(),
        expected_gain=questions.expected_gain.tolist(),
    )


def _stretched(clock: np.ndarray, calm: float, spans: Sequence[Span], burst: float) -> np.ndarray:
    """Return arrivals at a rate that is higher in some spans, from arrivals at a rate of one."""
    times, counts = [0.0], [0.0]
    for start, end in spans:
        counts.append(counts[-1] + calm * (start - times[-1]))
        counts.append(counts[-1] + burst * calm * (end - start))
        times += [start, end]
    times.append(times[-1] + float(clock[-1]) / calm)
    counts.append(counts[-1] + float(clock[-1]))
    arrivals: np.ndarray = np.interp(clock, counts, times)
    return arrivals
