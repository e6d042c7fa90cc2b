"""The scores of an artifact's own calibration sample, for who has no traffic yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from tandem.calibration.traffic import Scored
from tandem.classifier.artifact import load_artifact
from tandem.classifier.errors import ArtifactUnusable

QUANTILES: Final = 101
"""From the lowest score to the highest, one for each percent."""
REQUESTS: Final = 1000
"""Requests that stand for a sample whose size is not known."""


class NoSample(Exception):
    """The artifact has no calibration sample; the message says what to do."""


def sample_of(artifact: Path) -> list[Scored]:
    """Return requests that are spread like the calibration sample of an artifact.

    Its model card has `score_quantiles`: for `all`, and for each language, the 101 quantiles of the probability that R1
    suffices on the training mix.

    Raises:
        NoSample: there is no artifact, or it has no such quantiles.
    """
    try:
        quantiles: Any = load_artifact(artifact).header.card["score_quantiles"]
        languages = {name: list(values) for name, values in quantiles.items() if name != "all"}
        groups: dict[str | None, list[float]] = {**(languages or {None: list(quantiles["all"])})}
        return [
            Scored(float(score), language)
            for language, values in groups.items()
            for score in _spread(values, REQUESTS // len(groups))
        ]
    except (ArtifactUnusable, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoSample(
            f"{artifact} has no calibration sample ({error!r:.80}); give traffic of your own: --traffic FILE with "
            'a JSON object a line such as {"text": "…"}, or --from-ledger'
        ) from None


def _spread(values: list[float], count: int) -> list[float]:
    if len(values) != QUANTILES:
        raise ValueError(f"{QUANTILES} quantiles are needed, there are {len(values)}")
    places = (np.arange(count) + 0.5) / count
    return [float(score) for score in np.interp(places, np.linspace(0.0, 1.0, QUANTILES), values)]
