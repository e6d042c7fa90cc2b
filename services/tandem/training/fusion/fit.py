"""Learns the weights of a vote: a conditional logit with the case that no answer is right (McFadden 1974).

Every block of terms has a normal prior of mean 0; its precision is `PRECISION`, times a factor that is chosen by
cross-validation for the blocks whose size grows with the panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from tandem.fusion.terms import Block
from tandem.training.fusion.design import Design, Numbers
from tandem.training.fusion.recordings import Rows

PRECISION: Final[Mapping[Block, float]] = {
    Block.ANY: 0.01,
    Block.RELIABILITY: 0.1,
    Block.SUPPORT: 3.0,
    Block.ANSWER: 1.0,
    Block.SUPPORT_IN_CONTEXT: 3.0,
    Block.VOICE: 3.0,
    Block.PAIR: 20.0,
    Block.VOICE_IN_CONTEXT: 10.0,
    Block.VOICE_SAYS: 30.0,
    Block.ANSWER_IN_CONTEXT: 10.0,
}
SCALED: Final = frozenset(
    {Block.VOICE, Block.PAIR, Block.VOICE_IN_CONTEXT, Block.VOICE_SAYS, Block.ANSWER_IN_CONTEXT}
)
FACTORS: Final = (0.5, 1.0, 2.0, 4.0)
_STEPS: Final = 150


def precisions(blocks: tuple[Block, ...], factor: float) -> Numbers:
    """Return the precision of the prior of every term; shape [terms]."""
    return np.array([PRECISION[block] * (factor if block in SCALED else 1.0) for block in blocks])


def fit(found: Design, rows: Rows, factor: float, start: Numbers | None = None) -> Numbers:
    """Return the weights that are most probable after some answers, shape [terms].

    `rows` must have all answers of a question or none; `start` are weights to begin with.
    """
    matrix, right = found.matrix[rows], found.right[rows]
    firsts = _firsts(found.question[rows])
    ends = np.append(firsts[1:], len(rows))
    spread = np.repeat(np.arange(len(firsts)), ends - firsts)
    precision = precisions(found.blocks, factor)
    transposed = sparse.csr_array(matrix.T)
    wins = matrix.T @ right

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        scores = matrix @ weights
        most = np.maximum(np.maximum.reduceat(scores, firsts), 0.0)
        masses = np.exp(scores - most[spread])
        totals = np.add.reduceat(masses, firsts) + np.exp(-most)
        value = float(np.sum(np.log(totals) + most) - scores @ right + 0.5 * precision @ weights**2)
        slope: Numbers = transposed @ (masses / totals[spread]) - wins + precision * weights
        return value, slope

    begin = np.zeros(matrix.shape[1]) if start is None else start
    solved = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    weights: Numbers = solved.x
    return weights


def probabilities(found: Design, weights: Numbers) -> Numbers:
    """Return the probability of every answer, shape [answers]; those of a question add up to less than 1."""
    scores = found.matrix @ weights
    most = np.zeros(found.questions)
    np.maximum.at(most, found.question, scores)
    masses = np.exp(scores - most[found.question])
    totals = np.bincount(found.question, masses, minlength=found.questions) + np.exp(-most)
    told: Numbers = masses / totals[found.question]
    return told


def winners(found: Design, told: Numbers) -> Rows:
    """Return the row of the likeliest answer of every question, of equal ones the first; -1: nobody said anything."""
    best = np.full(found.questions, -1, np.intp)
    order = np.lexsort((-np.arange(len(told)), told))
    best[found.question[order]] = order
    return best


def loss_of(found: Design, told: Numbers, questions: NDArray[np.bool_]) -> float:
    """Return the mean of -ln(the probability of what was so) over some questions."""
    hit = np.bincount(found.question, told * found.right, minlength=found.questions)
    none = 1.0 - np.bincount(found.question, told, minlength=found.questions)
    any_right = np.bincount(found.question, found.right, minlength=found.questions) > 0
    so = np.where(any_right, hit, none)[questions]
    return float(-np.log(np.maximum(so, 1e-9)).mean())


def _firsts(question: Rows) -> Rows:
    return np.flatnonzero(np.concatenate(([True], np.diff(question) > 0)))
