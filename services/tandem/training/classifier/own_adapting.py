"""Adapts an artifact to labels of one's own: both tiers corrected, and what is claimed of them read anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tandem.classifier.artifact import Artifact
from tandem.classifier.header import Header
from tandem.classifier.weights import Weights, in_bytes
from tandem.training.classifier.calibration import RISE, Curve, nearby, quantiles
from tandem.training.classifier.own_model import Correction, correct, unchanged
from tandem.training.classifier.own_rows import SMALL, Laid, Line, Numbers, Places, bucket_weights

TRUST: Final = 0.5
"""What the strong tier's chance weighs against the weak one's in the score that is routed by, with many labels."""
HALF_TRUST: Final = 50
"""Requests with a verdict on both tiers at which it weighs half of that. It weighs less with fewer: strong models fail
seldom, and noise would decide the order."""
LEAST_BOTH: Final = 30
"""Requests with a verdict on both tiers that the reading of the gain is learned from."""
POINTS: Final = 25
"""Of a reading."""
SIGHT: Final = 4.0
"""Standard deviations around the mean of the scores that a reading covers."""
SUREST: Final = 30.0
"""Log-odds beyond which a chance is as good as certain."""
STEPS: Final = 25
LEAST_SLOPE: Final = 1e-3
SUFFIX: Final = "-own"


@dataclass(frozen=True, slots=True)
class Own:
    """Labels of one's own, one a row; NaN: nobody said. Near-duplicates are in one group."""

    laid: Laid
    r1: Numbers
    pro: Numbers
    groups: Places

    def __len__(self) -> int:
        return len(self.r1)

    def take(self, places: Places) -> Own:
        """Return some of the rows."""
        return Own(self.laid.take(places), self.r1[places], self.pro[places], self.groups[places])


@dataclass(frozen=True, slots=True)
class Adapted:
    """Both tiers corrected, and the curves behind them."""

    r1: Correction
    pro: Correction
    trust: float
    suffices: Curve | None
    """How likely R1 suffices, over `score`; None: no label says so, and the artifact's own reading stays."""
    gain: Curve
    """How much better Pro is, over the difference of both tiers."""
    confidence: tuple[float, ...]
    """Of the gain."""
    own_scores: Numbers
    """`score` of the rows learned from, each without having learned from it; shape [rows]."""

    def score(self, laid: Laid) -> Numbers:
        """Return what requests are routed by: the higher, the likelier R1 suffices; shape [rows]."""
        found: Numbers = self.r1.read(laid) - self.trust * self.pro.read(laid)
        return found


def priors(header: Header) -> tuple[Line, Line]:
    """Return what an artifact says of R1 and of Pro, as straight lines over its columns."""
    r1 = Line.of(header.r1_suffices, header.columns)
    return r1, r1 + Line.of(header.expected_gain, header.columns)


def adapt(header: Header, own: Own) -> Adapted:
    """Adapt the heads of an artifact to labels; a tier without labels stays as the artifact has it."""
    r1_prior, pro_prior = priors(header)
    r1, r1_said = _corrected(r1_prior, own, own.r1)
    pro, pro_said = _corrected(pro_prior, own, own.pro)
    judged, both = ~np.isnan(own.r1), ~np.isnan(own.r1 + own.pro)
    trust = TRUST * float(both.sum() / (both.sum() + HALF_TRUST))
    scores = r1_said - trust * pro_said
    suffices = chance(scores[judged], own.r1[judged]) if judged.any() else None
    difference = pro_said - r1_said
    if both.sum() < LEAST_BOTH:
        gain = Curve((-1.0, 1.0), (-1.0, 1.0))
        known = header.expected_gain
        confidence = tuple(map(float, np.interp(gain.at, known.value, known.confidence)))
    else:
        gained = own.pro[both] - own.r1[both]
        gain = _straight(difference[both], gained)
        hit = np.sign(gain.read(difference[both])) * gained >= 0
        confidence = nearby(difference[both], hit * 1.0, gain.at)
    return Adapted(r1, pro, trust, suffices, gain, confidence, scores)


def chance(score: Numbers, right: Numbers) -> Curve:
    """Return how likely a tier is right, by logistic regression on a score with the targets of Platt (1999)."""
    middle, spread = float(score.mean()), max(float(score.std()), LEAST_SLOPE)
    high, low = (right.sum() + 1) / (right.sum() + 2), 1 / ((1 - right).sum() + 2)
    level, slope = _logistic((score - middle) / spread, right * high + (1 - right) * low)
    at = np.linspace(-SIGHT, SIGHT, POINTS)
    value = 1 / (1 + np.exp(-np.clip(level + max(slope, LEAST_SLOPE) * at, -SUREST, SUREST)))
    rising = (1 - RISE) * value + RISE * np.linspace(0, 1, POINTS)
    return Curve(tuple(map(float, middle + spread * at)), tuple(map(float, rising)))


def written(artifact: Artifact, adapted: Adapted, card: Mapping[str, Any]) -> tuple[Header, Weights]:
    """Return the header and weights of an artifact with two columns more; what no head reads any more is left out."""
    old = artifact.header
    names = {tier: _free(f"own.{tier}", old.columns) for tier in ("r1", "pro")}
    document = json.loads(old.model_dump_json())
    document["name"] = old.name if old.name.endswith(SUFFIX) else f"{old.name[: 64 - len(SUFFIX)]}{SUFFIX}"
    document["expected_gain"] = {
        "mix": {names["pro"]: 1.0, names["r1"]: -1.0},
        "at": adapted.gain.at,
        "value": adapted.gain.value,
        "confidence": adapted.confidence,
    }
    if adapted.suffices:
        value = adapted.suffices.value
        document["r1_suffices"] = {
            "mix": {names["r1"]: 1.0, names["pro"]: -adapted.trust},
            "at": adapted.suffices.at,
            "value": value,
            "confidence": tuple(max(each, 1 - each) for each in value),
        }
    read = {name for head in old.scores for name in document[head]["mix"]} | {"professional"}
    read |= {f"{head}.{label}" for head, choice in old.choices.items() for label in choice.labels}
    kept = [at for at, name in enumerate(old.columns) if name in read]
    document["columns"] = [*(old.columns[at] for at in kept), names["r1"], names["pro"]]
    document["card"] = {**old.card, **_quantiles(adapted), "adapted": dict(card)}
    return Header.model_validate_json(json.dumps(document)), _weights(artifact, adapted, kept)


def _quantiles(adapted: Adapted) -> dict[str, Any]:
    """Return the calibration sample of the model card, of one's own requests; none where R1's reading stays."""
    if not adapted.suffices:
        return {}
    return {"score_quantiles": {"all": quantiles(adapted.suffices.read(adapted.own_scores))}}


def _corrected(prior: Line, own: Own, right: Numbers) -> tuple[Correction, Numbers]:
    """Return the correction of a tier, and what it says of every row without having learned from it."""
    known = np.flatnonzero(~np.isnan(right))
    if not len(known):
        found = unchanged(prior, own.laid)
        return found, found.read(own.laid)
    found = correct(prior, own.laid.take(known), right[known], own.groups[known])
    said = found.read(own.laid)
    said[known] = found.said
    return found, said


def _logistic(score: Numbers, target: Numbers) -> tuple[float, float]:
    """Return level and slope by Newton's method; the slope is held a little, so that there is always an answer."""
    rows = np.stack((np.ones(len(score)), score), axis=1)
    held = np.diag((0.0, 1.0))
    mean = float(target.mean())
    found = np.array([np.log(mean / (1 - mean)), 0.0])
    for _ in range(STEPS):
        said = 1 / (1 + np.exp(-np.clip(rows @ found, -SUREST, SUREST)))
        slopes = rows.T @ (target - said) - held @ found
        curves = (rows * (said * (1 - said))[:, None]).T @ rows + held
        found += np.clip(np.linalg.solve(curves, slopes), -1, 1)
    return float(found[0]), float(found[1])


def _straight(difference: Numbers, gained: Numbers) -> Curve:
    middle, spread = float(difference.mean()), max(float(difference.std()), LEAST_SLOPE)
    at = middle + spread * np.linspace(-SIGHT, SIGHT, POINTS)
    centred = difference - middle
    slope = max(float(centred @ gained) / max(float(centred @ centred), SMALL), LEAST_SLOPE)
    value = np.clip(float(gained.mean()) + slope * (at - middle), -1, 1)
    return Curve(tuple(map(float, at)), tuple(map(float, value)))


def _free(name: str, taken: tuple[str, ...]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    return found


def _weights(artifact: Artifact, adapted: Adapted, kept: list[int]) -> Weights:
    old = artifact.weights
    sides = (adapted.r1, adapted.pro)
    along = np.stack([side.line.weights for side in sides], axis=1)

    def joined(table: Any, added: Any) -> Any:
        return np.concatenate((table[..., kept], table @ along + added), axis=-1).astype(np.float32)

    buckets, rows, columns = in_bytes(
        joined(bucket_weights(artifact), np.stack([side.grams for side in sides], axis=1))
    )
    return Weights(
        buckets=buckets,
        rows=rows,
        columns=columns,
        dense=joined(old.dense, 0.0),
        mean=old.mean,
        scale=old.scale,
        limit=old.limit,
        bias=joined(old.bias, np.array([side.line.bias for side in sides])),
        frequencies=old.frequencies,
        phases=old.phases,
        waves=joined(old.waves, np.stack([side.waves for side in sides], axis=1)),
    )
