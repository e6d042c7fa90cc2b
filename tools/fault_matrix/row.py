"""A row of the matrix: one fault, the questions that are put meanwhile, and what brings the fault about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fault_matrix.layout import Layout
from fault_matrix.load import Load
from fault_matrix.question import Question
from fault_matrix.tandem_system import Tandem
from fault_matrix.tritons import Tritons


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may be done to."""

    tandem: Tandem
    tritons: Tritons
    load: Load


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    name: str
    what: str
    """What happens, in a sentence."""
    ask: Callable[[int], Question]
    """The question of a number, from 0."""
    at_once: int = 16
    share: float = 1.0
    """How many questions, as a part of what was asked for."""
    healthy_tier: bool = True
    """Whether a tier is well all the time, so that everybody can be answered."""
    layout: Layout = field(default_factory=Layout)
    disturb: Callable[[Scene], Awaitable[None]] | None = None
    """What is done to processes while the questions are put; it ends with everything as before, or left to recover."""

    @property
    def needs_control(self) -> bool:
        """Whether the row needs a world of its own, and cannot be run against somebody else's deployment."""
        return self.disturb is not None or self.layout != Layout()
