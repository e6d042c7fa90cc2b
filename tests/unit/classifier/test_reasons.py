"""Catches reasons that are not those of the weights, quote the text, or tell of what is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.artifact import Artifact
from tandem.classifier.judge import Judge
from tandem.classifier.reasons import _TEXTS, HEADINGS, LEAST_SHARE, Reasons
from tandem.classifier.summing import Sums
from tests.fakes import artifacts


def told(artifact: Artifact, text: str) -> list[str]:
    weights = artifact.weights
    features = artifact.extractor.features(text)
    sums = Sums(weights)
    _, standard, angles = sums.form(features.dense)
    ngrams = sums.ngrams(features.indices, features.values)
    return Reasons(artifact).tell(features, standard, angles, ngrams)


def with_weights(judge: Judge, **dense: float) -> Artifact:
    """Return the artifact with no weights but some of dense numbers; `terms_` and `count_` stand for words apart."""
    artifact = judge.artifact
    plain = artifact.weights
    names = artifact.extractor.dense_names
    weights = np.zeros_like(plain.dense)
    for name, weight in dense.items():
        weights[names.index(name.replace("__", ".").replace("_", " ")), 0] = weight
    buckets, waves = np.zeros_like(plain.buckets), np.zeros_like(plain.waves)
    return replace(artifact, weights=replace(plain, dense=weights, buckets=buckets, waves=waves))


def test_the_strongest_reason_comes_first_and_weak_ones_are_left_out(judge: Judge) -> None:
    artifact = with_weights(
        judge,
        terms_of_demand__proof=2.0,
        terms_of_demand__recall=-1.0,
        terms_of_task__mathematics=0.1 * LEAST_SHARE,
    )
    assert told(artifact, "What is a proof?") == [
        "harder: asks for a proof or a derivation",
        "easier: asks for a plain fact",
    ]


def test_what_is_not_there_is_no_reason(judge: Judge) -> None:
    artifact = with_weights(judge, count_of_operator=1.0, options=1.0, characters=0.1)
    shifted = replace(artifact, weights=replace(artifact.weights, mean=np.ones_like(artifact.weights.mean)))
    assert told(shifted, "Name a colour.") == ["harder: length of the question"]
    assert set(told(shifted, "Is 2 + 2 = 5 right?\nA. yes\nB. no")) == {
        "harder: contains mathematics",
        "harder: offers options",
        "harder: length of the question",
    }


def test_a_heading_is_credited_with_the_words_of_its_terms(judge: Judge) -> None:
    artifact = judge.artifact
    plain = artifact.weights
    assert artifact.terms
    (row,) = artifact.extractor.features("prove").terms
    buckets, rows, columns = (
        np.zeros_like(plain.buckets),
        np.ones_like(plain.rows),
        np.ones_like(plain.columns),
    )
    buckets[int(artifact.terms.keys[row]) >> (64 - artifacts.SPEC.groups[0].bits), 0] = 100
    dense, waves = np.zeros_like(plain.dense), np.zeros_like(plain.waves)
    weights = replace(plain, buckets=buckets, rows=rows, columns=columns, dense=dense, waves=waves)
    assert told(replace(artifact, weights=weights), "prove it") == [
        "harder: asks for a proof or a derivation"
    ]


def test_a_count_is_credited_with_what_it_adds_through_the_waves(judge: Judge) -> None:
    artifact = with_weights(judge)
    plain = artifact.weights
    frequencies, waves = np.zeros_like(plain.frequencies), np.zeros_like(plain.waves)
    frequencies[artifact.extractor.dense_names.index("count of operator"), 0] = 0.5
    waves[0, 0] = -1
    weights = replace(plain, frequencies=frequencies, waves=waves, phases=np.zeros_like(plain.phases))
    assert told(replace(artifact, weights=weights), "2 + 2 = 4?") == ["harder: contains mathematics"]


def test_a_falling_reading_turns_the_sign(judge: Judge) -> None:
    artifact = with_weights(judge, terms_of_demand__proof=2.0)
    falling = {"mix": {"hard": 1.0}, "at": (0.0, 10.0), "value": (10.0, 0.0), "confidence": (0.5, 0.5)}
    other = replace(artifact, header=artifacts.header(complexity=falling))
    assert told(other, "prove it") == ["easier: asks for a proof or a derivation"]


def test_every_heading_of_the_lexicon_has_words(judge: Judge) -> None:
    assert set(judge.artifact.header.term_names) <= set(HEADINGS)


@given(st.text(max_size=60))
def test_reasons_never_quote_the_text(judge: Judge, text: str) -> None:
    known = {f"{way}: {words}" for way in ("harder", "easier") for words in _TEXTS}
    assert set(told(judge.artifact, text)) <= known


@pytest.mark.parametrize("text", ["", " ", "?"])
def test_an_empty_text_has_reasons_too(judge: Judge, text: str) -> None:
    assert all(reason.startswith(("harder: ", "easier: ")) for reason in told(judge.artifact, text))
