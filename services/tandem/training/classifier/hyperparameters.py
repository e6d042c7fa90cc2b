"""What is set beforehand and not learned by the heads that routing reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from tandem.training.classifier.design import FORM, WIDTH
from tandem.training.classifier.routing import DENOISED, FOREIGN_TRUST, OWN_TRUST, PENALTY


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """One setting; the defaults are those of traffic like that which the labels are of."""

    penalty: float = PENALTY
    """Of the ridge."""
    form: float = FORM
    """Length of the waves over the form of a text, against 1 of its n-grams."""
    width: float = WIDTH
    """Of the kernel that the waves stand for."""
    denoised: float = DENOISED
    """Part of a label that is replaced by what other models' answers say."""
    trust: float = OWN_TRUST
    """What the strong model's head weighs against the weak one's."""

    def told(self) -> str:
        """Return the setting in words."""
        return ", ".join(f"{name} {value:g}" for name, value in asdict(self).items())


OWN: Final = Hyperparameters()
FOREIGN: Final = Hyperparameters(trust=FOREIGN_TRUST)
"""For traffic that has no labels of its own."""
