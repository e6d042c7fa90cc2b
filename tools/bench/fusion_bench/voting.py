"""The rows of the vote: on every set, in fields never seen, with two voices; and how true its expectation is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from fusion_bench.row import Numbers, Row, interval
from fusion_bench.served import Split, Told, core, measured, requests, told
from tandem.training.classifier.folds import numbered
from tandem.training.fusion.panels import learn_panel
from tandem.training.fusion.recordings import Recording
from tandem.training.fusion.train import panels_of

BARS: Final[Mapping[str, tuple[float, float]]] = {
    "mmlupro, top 3": (0.7255, 0.730),
    "mmlupro, top 5": (0.7293, 0.735),
    "mmlupro, five peers": (0.5966, 0.605),
    "mmlupro, all": (0.7329, 0.740),
    "lexeval, top 3": (0.6264, 0.630),
    "lexeval, all": (0.6389, 0.645),
    "math_l5, all": (0.9237, 0.925),
    "crux, all": (0.9611, 0.962),
    "gsm, top 5": (0.9751, 0.975),
}
"""Baseline and bar of the issue."""
MOST_ECE: Final = 0.05
BINS: Final = 10
GROUPS: Final = 5
"""Parts in which fields are held out, at most."""
LEAST_FIELDS: Final = 3


def panel_row(name: str, found: Sequence[Told]) -> Row:
    """Return how often a panel is right; without a bar it must not be below its best voice by more than noise."""
    baseline, bar = BARS.get(name, (None, None))
    value = _mean([one.right for one in found])
    low, high = interval([one.right for one in found])
    gain = [one.right - one.best_single for one in found]
    least, most = interval(gain)
    return Row(
        name,
        value,
        low,
        high,
        met=most >= 0 if bar is None else value >= bar,
        best_single=_mean([one.best_single for one in found]),
        majority=_mean([one.majority for one in found]),
        baseline=baseline,
        bar=bar,
        more={
            "oracle": round(_mean([one.oracle for one in found]), 4),
            "gain": round(_mean(gain), 4),
            "gain_low": round(least, 4),
            "gain_high": round(most, 4),
        },
    )


def calibration_row(name: str, found: Sequence[Told]) -> Row:
    """Return the expected calibration error of the expected correctness: ten bins of equal width."""
    expected = np.concatenate([one.expected for one in found])
    right = np.concatenate([one.right for one in found])
    at = np.minimum((expected * BINS).astype(int), BINS - 1)
    bins = [
        (float(expected[at == each].mean()), float(right[at == each].mean()), int((at == each).sum()))
        for each in np.unique(at)
    ]
    value = sum(abs(claimed - truth) * count for claimed, truth, count in bins) / len(right)
    return Row(
        f"calibration (ECE), {name}",
        value,
        value,
        value,
        met=value <= MOST_ECE,
        bar=MOST_ECE,
        more={"reliability": bins},
    )


def unseen_row(recording: Recording, panel: str) -> Row | None:
    """Return how often a panel is right in fields it never saw: domains, or categories where there is one domain."""
    fields = [str(domain) for domain in recording.domains]
    fields = fields if len(set(fields)) > 1 else list(recording.categories)
    if len(set(fields)) < LEAST_FIELDS or panel not in panels_of(recording):
        return None
    fold = numbered(fields, folds=min(GROUPS, len(set(fields))))
    parts = []
    for number in np.unique(fold):
        learn = recording.take(np.flatnonzero(fold != number))
        parts.append(told(Split(learn, recording.take(np.flatnonzero(fold == number))), panel))
    whole = Told(*(np.concatenate([getattr(part, name) for part in parts]) for name in Told.__slots__))
    return panel_row(f"unseen field, {recording.name}, {panel}", [whole])


def two_voices(found: Sequence[Split]) -> list[tuple[Numbers, Numbers]]:
    """Return of each split whether two voices are right that ask a third when they differ, and whether the strong is.

    The strong voice is the best, the weak one the third best; the second best is asked when they differ.
    """
    pairs = []
    for split in found:
        strong, third, weak = panels_of(split.learn)["top 3"]
        three = learn_panel("three", split.learn.of((strong, third, weak)))
        both = split.measure.of((strong, weak))
        alone = core(split.learn)
        votes = [alone.decide(request).fusion.groups for request in requests(both)]
        agree = np.array([len(groups) == 1 and len(groups[0].candidates) == 2 for groups in votes])
        asked = measured(split, three)
        at_once = both.right[:, 0].astype(float)
        pairs.append((np.where(agree, at_once, asked.right), at_once))
    return pairs


def two_rows(by_set: Mapping[str, Sequence[tuple[Numbers, Numbers]]]) -> Iterator[Row]:
    """Give the rows of two voices: of each set, not below the strong one; of all together, above it beyond noise."""
    for name, pairs in by_set.items():
        yield _two(f"two voices, {name}", pairs, pooled=False)
    count = min(map(len, by_set.values()))
    pooled = [
        tuple(np.concatenate([pairs[at][side] for pairs in by_set.values()]) for side in (0, 1))
        for at in range(count)
    ]
    yield _two("two voices, pooled", [(both, strong) for both, strong in pooled], pooled=True)


def _two(name: str, pairs: Sequence[tuple[Numbers, Numbers]], *, pooled: bool) -> Row:
    value = _mean([both for both, _ in pairs])
    strong = _mean([alone for _, alone in pairs])
    gain = [both - alone for both, alone in pairs]
    least, most = interval(gain)
    low, high = interval([both for both, _ in pairs])
    met = least > 0 if pooled else value >= strong
    more = {"gain": round(value - strong, 4), "gain_low": round(least, 4), "gain_high": round(most, 4)}
    return Row(name, value, low, high, met=met, best_single=strong, bar=strong, more=more)


def _mean(found: Sequence[Numbers]) -> float:
    return float(np.mean([one.mean() for one in found]))
