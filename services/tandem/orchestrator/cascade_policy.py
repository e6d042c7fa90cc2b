"""The part of the policy that says how a cascade works: when a draft is good enough, and what happens if it is not."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tandem.yaml_document import Section

DRAFT: Final = "{draft}"
"""Where a template has the draft."""
TEMPLATE: Final = (
    "Another assistant has drafted this answer:\n\n{draft}\n\n"
    "Check the draft against the question. Keep what is right, repair what is wrong, add what is missing, and reply "
    "with the final answer alone, without a word about the draft."
)


def _has_draft(template: str) -> str:
    if template.count(DRAFT) != 1:
        raise ValueError(f"must have {DRAFT} in it, once: that is where the draft goes")
    return template


Template = Annotated[str, Field(min_length=1, max_length=16_384), AfterValidator(_has_draft)]
Instruction = Annotated[str, Field(min_length=1, max_length=16_384)]
Weight = Annotated[float, Field(ge=0, le=100)]


class Gate(Section):
    """How likely a draft is to suffice: 1 / (1 + exp(-(intercept + Σ weight × ln(s / (1 - s))))) over the signals s.

    A signal that is not there counts as 0.5, which weighs nothing. No weight is below 0: a better signal never makes a
    draft less likely to suffice.
    """

    intercept: float = Field(default=-0.7, ge=-100, le=100)
    """What is added, -100 to 100: it sets off that models are surer of themselves than they are right."""
    confidence: Weight = 0.5
    """Weight of the draft's confidence, the geometric mean of its token probabilities; 0 to 100."""
    r1_suffices: Weight = 1.0
    """Weight of the classifier's probability that R1 suffices; 0 to 100."""
    agreement: Weight = 0.5
    """Weight of the part of the drafts that say the same as this one, where there are samples; 0 to 100."""


class Cascade(Section):
    """How the strategy `cascade` works: the cheap tier drafts, the strong one answers if the draft does not pass."""

    threshold: float = Field(default=0.5, ge=0, le=1)
    """The draft is the answer if it suffices with at least this probability, 0 (always) to 1 (never)."""
    gate: Gate = Gate()
    """How that probability is found; `tandem train gate` fits it."""
    samples: int = Field(default=0, ge=0, le=8)
    """Further drafts that only tell how far drafts agree, 0 to 8; each costs as much as a draft."""
    sample_temperature: float = Field(default=0.7, ge=0, le=2)
    """Lowest temperature of those, 0 to 2: drawn greedily they would all say the same."""
    refine: bool = True
    """Whether the strong tier gets the draft: `true`, it refines it; `false`, it answers as if there were none."""
    template: Template = TEMPLATE
    """What follows the question then, with the draft in place of `{draft}`; 1 to 16384 characters."""
    draft_instruction: Instruction | None = None
    """What the cheap tier is told beside the question, 1 to 16384 characters. Absent: nothing."""
    stream: Literal["hold", "revise"] = "hold"
    """A streamed draft: `hold`, it waits for the gate; `revise`, it is shown at once and replaced if it fails."""
