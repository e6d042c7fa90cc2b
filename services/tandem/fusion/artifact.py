"""The reliability artifact: how often each voice is right, and how the votes of panels are weighed. JSON, for people.

A voice is a tier (`pro`) or one variant of it (`pro/int8`), as in the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tandem.fusion.errors import ArtifactUnusable
from tandem.fusion.terms import Panel

FORMAT: Final = 1
LEAST_RELIABILITY: Final = 0.02
MOST_BYTES: Final = 16 * 2**20
Finite = Annotated[float, Field(allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, le=1)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Voice(_Document):
    """How often a voice was right, smoothed: overall, and by context towards that."""

    questions: Annotated[int, Field(ge=0)]
    reliability: Annotated[float, Field(gt=0, lt=1)]
    contexts: Mapping[str, Annotated[float, Field(gt=0, lt=1)]] = {}

    def in_context(self, contexts: tuple[str, ...]) -> float:
        """Return the reliability in the last, finest context that is known."""
        for context in reversed(contexts):
            if context in self.contexts:
                return self.contexts[context]
        return self.reliability


class Gate(_Document):
    """Who answers, the learned vote or the best voice; and the right answers of both, on questions not learned from."""

    rule: Literal["vote", "best_single"]
    vote: Part
    best_single: Part
    unseen: Literal["vote", "best_single"] = "best_single"
    """Who answers in a field that nothing was learned of: the vote only if it was better in fields held out."""


class Learned(_Document):
    """A panel: voices that answer together, and the weights of the terms of their answers (tandem.fusion.terms)."""

    name: str
    voices: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    """The most reliable first."""
    reliability: Mapping[str, Annotated[float, Field(gt=0, lt=1)]]
    """Of each voice, on the panel's questions."""
    questions: Annotated[int, Field(ge=1)]
    contexts: tuple[str, ...] = ()
    """What its questions were about, such as `category law`."""
    answers: tuple[str, ...] = ()
    gate: Gate
    weights: Mapping[str, Finite]

    @model_validator(mode="after")
    def _complete(self) -> Learned:
        if len(set(self.voices)) != len(self.voices) or set(self.reliability) != set(self.voices):
            raise ValueError("every voice needs one reliability")
        return self

    def panel(self) -> Panel:
        """Return what is known of the voices before they answer."""
        return Panel(
            {voice: log_odds(self.reliability[voice]) for voice in self.voices}, frozenset(self.answers)
        )


class Artifact(_Document):
    """What fusion has learned. The empty one is safe: every voice counts alike, by the settings."""

    format: Literal[1] = 1
    revision: str = ""
    made_from: tuple[str, ...] = ()
    voices: Mapping[str, Voice] = {}
    panels: tuple[Learned, ...] = ()


def load_artifact(file: Path) -> Artifact:
    """Read an artifact.

    Raises:
        ArtifactUnusable: the file cannot be read, is too large or does not hold one.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ArtifactUnusable(
                f"{file} has more than {MOST_BYTES // 2**20} MiB: it is no fusion artifact."
            )
        return Artifact.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ArtifactUnusable(f"The fusion artifact {file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ArtifactUnusable(
            f"{file} is not a fusion artifact of format {FORMAT}: {where}: {first['msg']}. "
            "Make one with `tandem train fusion`."
        ) from error


def log_odds(reliability: float) -> float:
    """Return ln(p / (1 - p)), p kept from the ends."""
    kept = min(max(reliability, LEAST_RELIABILITY), 1 - LEAST_RELIABILITY)
    return math.log(kept / (1 - kept))
