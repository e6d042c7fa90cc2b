"""Would catch waves that are no kernel, and an artifact whose columns say something else than the heads do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tandem.classifier.features import SURFACE_NAMES
from tandem.training.classifier import design
from tandem.training.classifier.assemble import assemble, columns_of
from tandem.training.classifier.data import Pair, Table
from tandem.training.classifier.routing import fit, labels
from tests.fakes import artifacts


def test_waves_multiply_to_the_radial_kernel(small: Table) -> None:
    found = design.batch(small.texts[:60])
    laid = design.Design.of(found.dense)
    waves = laid.rows(found)[:, design.SPEC.buckets : design.SPEC.buckets + design.WAVES].toarray()
    standard = np.clip((found.dense - laid.mean) / laid.scale, -design.LIMIT, design.LIMIT)[
        :, : len(SURFACE_NAMES)
    ]
    apart = ((standard[:, None] - standard[None]) ** 2).mean(axis=2)
    assert np.abs(waves @ waves.T - np.exp(-apart / design.WIDTH)).max() < 0.15


def test_the_artifact_says_what_the_heads_say(small: Table) -> None:
    found = design.batch(small.texts)
    laid = design.Design.of(found.dense)
    rows = np.arange(len(small))
    heads = fit(laid.rows(found), labels(small, Pair("small", "weak", "strong"), rows))
    extractor = design.extractor()
    weights = assemble([columns_of(("r1_right", "pro_right"), heads, laid)], laid)
    wanted = heads.predict(laid.rows(found))
    said = np.array([artifacts.score(weights, extractor.features(text))[:2] for text in small.texts])
    assert np.abs(said - wanted).max() < 0.02


def test_the_same_texts_give_the_same_heads(small: Table, tmp_path: Path) -> None:
    found = design.batch(small.texts)
    laid = design.Design.of(found.dense)
    targets = np.stack([small.outcomes["weak"], small.outcomes["strong"]], axis=1)
    first, second = (fit(laid.rows(found), targets) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
