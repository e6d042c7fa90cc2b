"""What an artifact says about itself: its features, its heads, and the card that tells where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from tandem.classifier.encoder import EncoderSpec
from tandem.classifier.features import FeatureSpec
from tandem.v1 import types_pb2
from tandem.yaml_document import Section

FORMAT: Final = 1

Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]


class ScoreHead(Section):
    """A number read off columns: their weighted sum, and what it means by straight lines between points."""

    mix: dict[str, float] = Field(min_length=1)
    """Weight of each column in the sum."""
    at: tuple[float, ...] = Field(min_length=2)
    """Points of the sum, rising. Beyond the first and the last the reading stays as it is there."""
    value: tuple[float, ...]
    """What is read at each point; never turns back."""
    confidence: tuple[Probability, ...]
    """How likely that is right."""

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if not len(self.at) == len(self.value) == len(self.confidence):
            raise ValueError("at, value and confidence must be equally long")
        if any(second <= first for first, second in pairwise(self.at)):
            raise ValueError("the points of at must rise")
        steps = [second - first for first, second in pairwise(self.value)]
        if min(steps) < 0 < max(steps):
            raise ValueError("value must never turn back: a reading that is not monotone has no order")
        return self


class ChoiceHead(Section):
    """One of several labels: the column of each is its log-odds, up to the temperature."""

    labels: tuple[str, ...] = Field(min_length=2)
    """Names of the contract's enum in lower case, without its prefix."""
    temperature: float = Field(gt=0)
    """What the columns are divided by, so that the probabilities are calibrated."""
    threshold: Probability
    """Least probability of a label that is decided."""


class DoubtHead(Section):
    """Yes or no, from one column of log-odds."""

    temperature: float = Field(gt=0)
    """What the column is divided by."""
    threshold: Probability
    """Least probability of the likelier answer, below which it is undecided."""


class Header(Section):
    """The JSON document in the metadata of an artifact."""

    format: Literal[1]
    """Version of this format."""
    name: Name
    """What the revision begins with, such as `tandem-2026-11`."""
    features: FeatureSpec
    encoder: EncoderSpec | None = None
    """The sentence encoder whose vector the dense numbers end with; none in the shipped artifact."""
    columns: tuple[str, ...]
    """What each column of the weights is for."""
    term_names: tuple[str, ...] = ()
    """Headings of the known terms; none: there is no table of terms."""
    dense_limit: float = Field(gt=0)
    """Largest standardised dense number that counts; a larger one counts like it."""
    context_weight: Probability
    """What the n-grams of the context weigh against those of the question."""
    r1_suffices: ScoreHead
    expected_gain: ScoreHead
    complexity: ScoreHead
    task: ChoiceHead
    domain: ChoiceHead
    professional: DoubtHead
    card: dict[str, JsonValue]
    """The model card: data, protocol, metrics, limits."""
    data: dict[str, str]
    """SHA-256 of every file that it was trained on, by name."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        needed = {name for head in self.scores.values() for name in head.mix} | {"professional"}
        known = {"task": types_pb2.Task, "domain": types_pb2.Domain}
        for name, head in self.choices.items():
            needed |= {f"{name}.{label}" for label in head.labels}
            names = {f"{name}_{label}".upper() for label in head.labels}
            if unknown := names - set(known[name].keys()):
                yield f"the contract has no {', '.join(sorted(unknown))}"
        if missing := needed - set(self.columns):
            yield f"columns lack {', '.join(sorted(missing))}"
        if len(set(self.columns)) < len(self.columns):
            yield "columns stand twice"
        for name, (low, high) in {
            "r1_suffices": (0, 1),
            "expected_gain": (-1, 1),
            "complexity": (0, 10),
        }.items():
            values = self.scores[name].value
            if min(values) < low or max(values) > high:
                yield f"{name} leaves its range {low} to {high}"

    @property
    def scores(self) -> dict[str, ScoreHead]:
        """The heads that give numbers."""
        return {
            "r1_suffices": self.r1_suffices,
            "expected_gain": self.expected_gain,
            "complexity": self.complexity,
        }

    @property
    def choices(self) -> dict[str, ChoiceHead]:
        """The heads that give labels."""
        return {"task": self.task, "domain": self.domain}
