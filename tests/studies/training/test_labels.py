"""Would catch heads that weigh a source by its size, learn its marks, or claim more than they know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tandem.classifier.features import SURFACE_NAMES
from tandem.training.classifier.labelled import Labelled
from tandem.training.classifier.labels import Kind, Rows, fit_kind, likeliest_temperature, shared, weigh
from tandem.training.classifier.professional import fit_professional

DENSE = len(SURFACE_NAMES) + 2
KIND = Kind(("creative", "code"), lambda text: text.task, 0.1)


def text(task: str | None, source: str, group: str = "") -> Labelled:
    return Labelled("", "en", task, None, source, source, source, group)


def rows(buckets: list[list[int]], known: list[list[float]] | None = None) -> Rows:
    grams = np.zeros((len(buckets), 8), np.float32)
    for at, found in enumerate(buckets):
        grams[at, found] = 1
    standard = np.zeros((len(buckets), DENSE), np.float32)
    if known:
        standard[:, len(SURFACE_NAMES) :] = known
    return Rows(sparse.csr_array(grams), standard)


def test_a_source_ten_times_as_large_weighs_less_than_ten_times_as_much() -> None:
    texts = [text("code", "large")] * 100 + [text("code", "small")] * 10
    weights = weigh(texts, KIND.of)
    assert weights.mean() == pytest.approx(1)
    assert weights[:100].sum() / weights[100:].sum() == pytest.approx(10**0.6)


def test_a_bucket_counts_if_enough_units_have_it() -> None:
    found = rows([[0, 1], [0, 1], [0, 2], [3]])
    assert shared(found.grams, ["a", "a", "b", "c"], 2).tolist() == [0]
    assert shared(found.grams, ["a", "a", "b", "c"], 1).tolist() == [0, 1, 2, 3]


def test_a_head_learns_what_sources_share() -> None:
    texts = [text(task, source) for source in "abcdefg" for task in KIND.labels]
    own = [[0, 2 + at % 6] if item.task == "creative" else [1, 2 + at % 6] for at, item in enumerate(texts)]
    head = fit_kind(KIND, rows(own), texts)
    assert head.columns(*_parts(rows([[0]])))[0, 0] < 0 < head.columns(*_parts(rows([[1]])))[0, 0]


def test_known_terms_speak_too() -> None:
    texts = [text(task, source) for source in "abcdefg" for task in KIND.labels]
    known = [[1.0, -1.0] if item.task == "creative" else [-1.0, 1.0] for item in texts]
    head = fit_kind(KIND, rows([[0]] * len(texts), known), texts, calibrate=False)
    assert head.dense[-1, 0] > 0 > head.dense[-2, 0]
    assert head.temperature == 1


def test_the_same_texts_give_the_same_bits() -> None:
    texts = [text(task, source) for source in "abc" for task in KIND.labels]
    own = rows([[at % 5] for at in range(len(texts))])
    first, second = fit_kind(KIND, own, texts), fit_kind(KIND, own, texts)
    assert first.buckets.tobytes() == second.buckets.tobytes()


def test_texts_that_are_measured_only_teach_nothing() -> None:
    texts = [text(task, source) for source in "abc" for task in KIND.labels]
    more = [*texts, text("code", "arena_hard_v01")]
    alone = fit_kind(KIND, rows([[0], [1]] * 3), texts, calibrate=False)
    beside = fit_kind(KIND, rows([[0], [1]] * 3 + [[0]]), more, calibrate=False)
    assert np.array_equal(alone.buckets, beside.buckets)


def test_a_label_without_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="code"):
        fit_kind(KIND, rows([[0]]), [text("creative", "a")])


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_temperature_takes_exaggeration_back(factor: float) -> None:
    draw = np.random.default_rng(1)
    honest = draw.normal(size=(4000, 1)).astype(np.float32) * 2
    truth = (draw.random(4000) < 1 / (1 + np.exp(-honest[:, 0]))).astype(np.intp)
    assert likeliest_temperature(honest * np.float32(factor), truth) == pytest.approx(factor, rel=0.12)


def test_the_asker_is_one_column_and_needs_to_be_surer() -> None:
    texts = [
        text(None, "medquad"),
        text(None, "huatuo_instr"),
        text(None, "ifeval"),
        text(None, "lexeval", "1_1"),
    ]
    head = fit_professional(rows([[0], [1], [0], [1]]), texts, calibrate=False)
    assert head.buckets.shape[1] == 1
    assert head.threshold > 0.5
    assert head.columns(*_parts(rows([[1]])))[0, 0] > head.columns(*_parts(rows([[0]])))[0, 0]


def _parts(found: Rows) -> tuple[sparse.csr_array, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return found.grams, found.standard
