"""Measures an adapted artifact against the one it started from, on labels that it was not adapted to.

Both are compared by what they claim and by how they order requests. What was learned about a tier is also compared with
the artifact's own score, read anew on the same labels: an artifact that only claims another level routes no better, and
`tandem calibrate` sets thresholds for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.classifier.header import Header, ScoreHead
from tandem.training.classifier.folds import numbered, splits
from tandem.training.classifier.own_adapting import Own, adapt, chance, priors
from tandem.training.classifier.own_rows import Laid, Numbers, Places

FOLDS: Final = 5
DRAWS: Final = 1000
SURE: Final = (2.5, 97.5)
LEAST_CLAIM: Final = 0.01
"""No claim counts as surer than that, or one mistake would decide the logarithmic loss."""
STEPS: Final = 10
"""Of the curve of quality over the share of the strong tier."""

LEAST_GAP: Final = 0.01
"""Between the tiers; with less there is nothing to recover."""

Tier = Literal["r1", "pro"]
Score = Callable[[Places], float]


@dataclass(frozen=True, slots=True)
class Claims:
    """How likely a tier is right, by four judges on the same requests; each of shape [rows]."""

    before: Numbers
    """The artifact as it is."""
    after: Numbers
    """The adapted one."""
    read_anew: Numbers
    """The artifact, its score calibrated on the labels."""
    learned: Numbers
    """What the adapted one has learned about the tier, calibrated likewise, before the other tier is weighed in."""

    def take(self, places: Places) -> Claims:
        """Return some of the rows."""
        return Claims(*(getattr(self, name)[places] for name in CLAIMS))


CLAIMS: Final = ("before", "after", "read_anew", "learned")


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure before and after, with the interval of the difference."""

    name: str
    rows: int
    before: float
    after: float
    low: float
    high: float
    lower_is_better: bool = True

    @property
    def better(self) -> bool:
        """Whether it is better beyond noise."""
        return self.high < 0 if self.lower_is_better else self.low > 0

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond noise."""
        return self.low > 0 if self.lower_is_better else self.high < 0


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures, and which of them decide."""

    figures: tuple[Compared, ...]
    deciding: tuple[str, ...]
    """Those that must be better: the claim that is published, and what another level of the claims cannot better."""

    @property
    def better(self) -> bool:
        """Whether all that decides is better beyond noise, and nothing is worse."""
        better = {each.name for each in self.figures if each.better}
        return better.issuperset(self.deciding) and not any(each.worse for each in self.figures)


def cross_validated(header: Header, own: Own) -> Measured:
    """Measure by cross-validation over the labels, everything chosen anew in each fold; groups stay together."""
    tier: Tier = "r1" if _known(own.r1).any() else "pro"
    right = own.r1 if tier == "r1" else own.pro
    said = Claims(*(np.full(len(own), np.nan) for _ in CLAIMS))
    for learned, asked in splits(numbered(own.groups, folds=FOLDS)):
        part = own.take(learned)
        if _known(part.r1 if tier == "r1" else part.pro).any():
            found = claims(header, part, own.laid.take(asked), tier)
            for name in CLAIMS:
                getattr(said, name)[asked] = getattr(found, name)
    rows = np.flatnonzero(_known(right) & _known(said.after))
    return compare(said.take(rows), own.take(rows), tier)


def claims(header: Header, own: Own, asked: Laid, tier: Tier) -> Claims:
    """Adapt to labels, some of them of the tier, and say how likely it is right on other requests."""
    adapted = adapt(header, own)
    if tier == "r1" and adapted.suffices:
        known = np.flatnonzero(_known(own.r1))
        head, right = header.r1_suffices, own.r1[known]
        before = mixed(head, header.columns, asked.columns)
        return Claims(
            np.interp(before, head.at, head.value),
            adapted.suffices.read(adapted.score(asked)),
            chance(mixed(head, header.columns, own.laid.columns[known]), right).read(before),
            chance(adapted.r1.said, right).read(adapted.r1.read(asked)),
        )
    _, prior = priors(header)
    known = np.flatnonzero(_known(own.pro))
    before, right = prior.read(asked.columns), own.pro[known]
    after = chance(adapted.pro.said, right).read(adapted.pro.read(asked))
    anew = chance(prior.read(own.laid.columns[known]), right).read(before)
    return Claims(np.clip(before, 0, 1), after, anew, after)


def mixed(head: ScoreHead, names: tuple[str, ...], columns: Numbers) -> Numbers:
    """Return the sum that a head reads off columns; shape [rows]."""
    found: Numbers = columns @ np.array([head.mix.get(name, 0.0) for name in names])
    return found


def compare(said: Claims, own: Own, tier: Tier) -> Measured:
    """Compare claims with the labels of a tier, which every row has."""
    right = own.r1 if tier == "r1" else own.pro
    signal, known = ("r1_suffices", "R1 is right") if tier == "r1" else ("Pro's chance", "Pro is right")
    figures = [
        _claimed(f"Brier of {signal}", own, _brier(said.before, right), _brier(said.after, right)),
        _claimed(f"log loss of {signal}", own, _log_loss(said.before, right), _log_loss(said.after, right)),
        _claimed(
            f"Brier of «{known}», level aside",
            own,
            _brier(said.read_anew, right),
            _brier(said.learned, right),
        ),
    ]
    both = np.flatnonzero(_known(own.r1 + own.pro))
    if tier == "r1" and len(both) and abs(float((own.pro - own.r1)[both].mean())) > LEAST_GAP:
        figures.append(_routed(said.take(both), own.take(both)))
    return Measured(tuple(figures), (figures[0].name, figures[2].name))


def apgr(score: Numbers, weak: Numbers, strong: Numbers) -> float:
    """Return the average performance gap recovered over ten shares (Ong et al., 2024); NaN if there is no gap."""
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate(([0.0], np.cumsum((strong - weak)[order])))
    if not gained[-1]:
        return float("nan")
    curve = gained[np.rint(np.linspace(0, len(score), STEPS + 1)).astype(int)] / gained[-1]
    return float((curve[1:] + curve[:-1]).sum() / 2 / STEPS)


def _known(right: Numbers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ~np.isnan(right)
    return found


def _brier(said: Numbers, right: Numbers) -> Numbers:
    found: Numbers = (said - right) ** 2
    return found


def _log_loss(said: Numbers, right: Numbers) -> Numbers:
    sure = np.clip(said, LEAST_CLAIM, 1 - LEAST_CLAIM)
    found: Numbers = -(right * np.log(sure) + (1 - right) * np.log(1 - sure))
    return found


def _claimed(name: str, own: Own, before: Numbers, after: Numbers) -> Compared:
    return _compared(name, own, lambda at: float(before[at].mean()), lambda at: float(after[at].mean()))


def _routed(said: Claims, own: Own) -> Compared:
    def recovered(claimed: Numbers) -> Score:
        return lambda at: apgr(-claimed[at], own.r1[at], own.pro[at])

    return _compared("APGR", own, recovered(said.read_anew), recovered(said.after), lower_is_better=False)


def _compared(name: str, own: Own, before: Score, after: Score, *, lower_is_better: bool = True) -> Compared:
    """Compare two figures over the same requests; groups are drawn anew for the interval."""
    rows = np.arange(len(own))
    differences = [after(at) - before(at) for at in _drawn(own.groups)]
    low, high = np.nanpercentile(differences, SURE)
    return Compared(
        name, len(own), float(before(rows)), float(after(rows)), float(low), float(high), lower_is_better
    )


def _drawn(groups: Places) -> Iterator[Places]:
    """Give the rows of as many groups as there are, drawn with replacement."""
    draw = np.random.default_rng(0)
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    for _ in range(DRAWS):
        taken = draw.integers(0, len(sizes), len(sizes))
        ends = np.cumsum(sizes[taken])
        yield order[np.arange(ends[-1]) + np.repeat(starts[taken] - ends + sizes[taken], sizes[taken])]
