"""Turns recorded answers into the terms of every answer, as one sparse matrix."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tandem.fusion.artifact import log_odds
from tandem.fusion.grouping import Group, grouped
from tandem.fusion.normalise import Kind, Normal
from tandem.fusion.terms import Block, Panel, of_group
from tandem.training.fusion.recordings import Recording, Rows

SMOOTHING: Final = 4.0
"""Questions that a voice is taken to have answered as the mean voice does, before any is counted."""
CONTEXT_SMOOTHING: Final = 20.0
"""The same for a voice in a context, towards the voice overall."""
LEAST_SAID: Final = 0.01
"""An answer has terms of its own if it is at least this part of all answers: letters do, numbers do not."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Design:
    """The terms of all answers to all questions; rows of one question stand together."""

    matrix: sparse.csr_array
    """Shape [answers, terms]."""
    question: Rows
    """Of each answer, ascending."""
    right: Numbers
    """Of each answer: 1 or 0."""
    names: tuple[str, ...]
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]
    questions: int

    def of(self, questions: NDArray[np.bool_]) -> Rows:
        """Return the rows of some questions."""
        return np.flatnonzero(questions[self.question])


def reliabilities(right: NDArray[np.bool_]) -> Numbers:
    """Return how often each voice is right, smoothed towards the mean voice; shape [voices]."""
    count = len(right)
    smoothed: Numbers = (right.sum(axis=0) + SMOOTHING * right.mean()) / (count + SMOOTHING)
    return smoothed


def panel_of(recording: Recording, forms: Sequence[Sequence[Normal]]) -> Panel:
    """Return what these questions tell of the voices."""
    reliable = reliabilities(recording.right)
    order = sorted(range(len(recording.voices)), key=lambda at: (-reliable[at], recording.voices[at]))
    said = Counter(form.value for row in forms for form in row if form.kind is Kind.CHOICE)
    least = LEAST_SAID * sum(len(row) for row in forms)
    often = frozenset(answer for answer, count in said.items() if count >= max(least, 1))
    return Panel({recording.voices[at]: log_odds(float(reliable[at])) for at in order}, often)


def design(recording: Recording, forms: Sequence[Sequence[Normal]], panel: Panel) -> Design:
    """Return the terms of every answer; an answer is right if most of the voices that gave it were."""
    columns: dict[str, int] = {}
    blocks: list[Block] = []
    indices, values, starts = array("i"), array("d"), array("i", [0])
    question, right, groups = array("i"), array("d"), []
    for row, said in enumerate(forms):
        contexts = recording.contexts(row)
        for group in grouped(said):
            members = {recording.voices[at]: 1.0 for at in group.members}
            answer = group.form.value if group.form.kind is Kind.CHOICE else ""
            for term in of_group(panel, members, answer, contexts):
                column = columns.setdefault(term.name, len(columns))
                if column == len(blocks):
                    blocks.append(term.block)
                indices.append(column)
                values.append(term.value)
            starts.append(len(indices))
            question.append(row)
            right.append(float(recording.right[row, list(group.members)].mean() > 0.5))
            groups.append(group)
    matrix = sparse.csr_array(
        (np.array(values), np.array(indices), np.array(starts)), shape=(len(groups), len(columns))
    )
    return Design(
        matrix,
        np.array(question, np.intp),
        np.array(right),
        tuple(columns),
        tuple(blocks),
        tuple(groups),
        len(forms),
    )
