"""Catches hashes that differ from the stated polynomial, windows lost or invented, and values of a wrong length.

Also a batch that differs from single texts, and text that raises or takes long.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.classifier.features import SURFACE_NAMES, Extractor, FeatureSpec, Group, Terms
from tandem.classifier.features.alphabet import CLASS_OF, CODE_OF, Class
from tandem.classifier.features.reading import Reader
from tandem.classifier.features.spec import Kind
from tandem.classifier.sample import QUESTION_CHARACTERS, ends

MASK = (1 << 64) - 1
BASE = 0xD1B54A32D192ED03
SPREAD = 0x9E3779B97F4A7C15
FOLLOW = 0xDA942042E4DD58B5
SPEC = FeatureSpec(
    (
        Group("words", 1, 12),
        Group("words", 2, 10, weight=0.5),
        Group("ideographs", 3, 9),
        Group("characters", 3, 11),
        Group("characters", 5, 8),
    )
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


def polynomial(text: str) -> int:
    return sum(SPREAD * ord(character) * pow(BASE, at, 1 << 64) for at, character in enumerate(text)) & MASK


def sequence(words: list[str]) -> int:
    total = 0
    for word in words:
        total = (total * FOLLOW + polynomial(word)) & MASK
    return total


def found(text: str, kind: Kind, size: int) -> list[int]:
    """Return the upper 24 bits of the hashes that are counted."""
    indices: list[int] = Extractor(FeatureSpec((Group(kind, size, 24),))).features(text).indices.tolist()
    return indices


def buckets(hashes: Iterable[int]) -> list[int]:
    return sorted({value >> 40 for value in hashes})


def test_words_are_runs_of_letters_and_digits_and_single_ideographs() -> None:
    words = ["prove", "x1", "证", "明", "it", "s", "ελ"]
    text = "Prove  x1:证明, it's\n\n ΕΛ!"
    assert found(text, "words", 1) == buckets(map(polynomial, words))
    assert found(text, "words", 2) == buckets(sequence([*pair]) for pair in pairwise(words))
    assert found(text, "words", 4) == buckets(sequence(words[at : at + 4]) for at in range(4))
    assert Reader(FeatureSpec(())).sequence("Prove  x1:证") == (3, sequence(words[:3]))


def test_ideographs_are_taken_together_across_punctuation_but_not_across_words() -> None:
    expected = [["下", "列", "哪"], ["列", "哪", "项"]]
    assert found("下列，哪项 of 正确", "ideographs", 3) == buckets(map(sequence, expected))


def test_windows_of_characters_have_no_ideographs_and_blanks_once() -> None:
    plain = " solve  \t x² now ".replace("  \t ", " ")
    expected = [polynomial(plain[at : at + 4]) for at in range(len(plain) - 3)]
    assert found("Solve  \t x² now", "characters", 4) == buckets(expected)
    mixed = " ab证 cd "
    whole = [mixed[at : at + 3] for at in range(len(mixed) - 2)]
    assert found("ab证 cd", "characters", 3) == buckets(
        polynomial(window) for window in whole if "证" not in window
    )


def test_full_width_and_capital_letters_are_the_same_as_plain_ones() -> None:
    assert found("ＡＢ１２？", "characters", 3) == found("ab12?", "characters", 3)
    assert CLASS_OF[ord("？")] == CLASS_OF[ord("?")] == Class.QUESTION


@given(st.text(st.sampled_from("ab1 证\n."), max_size=400))
def test_an_n_gram_counts_as_often_as_it_is_there(text: str) -> None:
    """What is sorted by insertion, and what by digits, is counted alike."""
    features = Extractor(FeatureSpec((Group("characters", 2, 24),))).features(text)
    plain = re.sub(r"\s+", " ", f" {text} ")
    counts = Counter(
        polynomial(plain[at : at + 2]) >> 40 for at in range(len(plain) - 1) if "证" not in plain[at : at + 2]
    )
    whole = {bucket: round(1024 * (1 + math.log(count))) for bucket, count in counts.items()}
    length = math.sqrt(sum(value * value for value in whole.values()))
    assert features.indices.tolist() == sorted(whole)
    assert features.values.tolist() == pytest.approx([whole[bucket] / length for bucket in sorted(whole)])


@pytest.mark.parametrize("characters", [FeatureSpec(()).sample_characters + 2, 10**6])
def test_a_text_longer_than_the_sample_is_refused(characters: int) -> None:
    with pytest.raises(ValueError, match="at most 6001 characters"):
        Reader(FeatureSpec(())).read("x" * characters, characters)


def test_digits_are_folded_where_the_spec_says_so() -> None:
    folded = Extractor(FeatureSpec((Group("words", 1, 16),), fold_digits=True))
    assert folded.features("1987").indices.tolist() == folded.features("2024").indices.tolist()
    kept = Extractor(FeatureSpec((Group("words", 1, 16),)))
    assert kept.features("1987").indices.tolist() != kept.features("2024").indices.tolist()


def test_buckets_count_each_group_in_its_own_range_with_length_of_its_weight() -> None:
    text = "the cat and the dog and the end"
    features = Extractor(SPEC).features(text)
    counts = Counter(polynomial(word) >> 52 for word in text.split())
    first = features.indices < 1 << 12
    norm = math.sqrt(sum((1 + math.log(count)) ** 2 for count in counts.values()))
    assert features.indices[first].tolist() == sorted(counts)
    assert features.values[first].tolist() == pytest.approx(
        [(1 + math.log(counts[bucket])) / norm for bucket in sorted(counts)], rel=1e-3
    )
    for group, start, stop in zip(SPEC.groups, SPEC.offsets[:-1], SPEC.offsets[1:], strict=True):
        values = features.values[(features.indices >= start) & (features.indices < stop)]
        expected = 0 if group.kind == "ideographs" else group.weight
        assert float(np.linalg.norm(values)) == pytest.approx(expected, rel=1e-5)


def test_surface_counts_what_its_names_say() -> None:
    text = "Which is 12 % of x?\nA. 1\nB. 2\n(C) 3 ____"
    found = dict(zip(SURFACE_NAMES, Extractor(SPEC).features(text).dense.tolist(), strict=True))
    assert math.expm1(found["characters"]) == pytest.approx(len(text), rel=1e-5)
    assert math.expm1(found["options"]) == pytest.approx(3, rel=1e-5)
    assert math.expm1(found["numbers"]) == pytest.approx(4, rel=1e-5)
    assert math.expm1(found["count of newline"]) == pytest.approx(3, rel=1e-5)
    assert math.expm1(found["count of '__'"]) == pytest.approx(2, rel=1e-5)
    assert found["ends with _"] == 1
    assert found["ends with ?"] == 0


def test_terms_count_once_each_under_their_heading() -> None:
    terms = Terms.of(
        {"proof": {"prove": 1, "show that": 2, "证明": 1}, "choice": {"which of the following": 3}}
    )
    extractor = Extractor(SPEC, terms)
    dense = extractor.features("Prove, prove and 证明; which of the following?").dense
    assert extractor.dense_names[-2:] == ("terms of proof", "terms of choice")
    assert dense[-2:].tolist() == pytest.approx([math.log1p(2), math.log1p(3)])


@pytest.mark.parametrize("term", ["", "one two three four five", "?", "一二三四五"])
def test_a_term_of_no_or_too_many_words_is_refused(term: str) -> None:
    with pytest.raises(ValueError, match="words"):
        Terms.of({"heading": {term: 1}})


def test_a_term_counts_under_every_heading_it_has() -> None:
    terms = Terms.of({"one": {"Prove": 1}, "two": {"prove": 2, "PROVE": 3}})
    assert Extractor(SPEC, terms).features("prove").dense[-2:].tolist() == pytest.approx(
        [math.log(2), math.log(4)]
    )


@given(st.lists(TEXT, max_size=4))
def test_any_text_has_features_and_the_same_in_a_batch(texts: list[str]) -> None:
    extractor = Extractor(SPEC, Terms.of({"proof": {"prove": 1}}))
    batch = extractor.batch(texts)
    assert batch.dense.shape == (len(texts), len(extractor.dense_names))
    for row, text in enumerate(texts):
        single = extractor.features(text)
        first, last = batch.indptr[row], batch.indptr[row + 1]
        assert single.indices.tolist() == batch.indices[first:last].tolist()
        assert single.values.tolist() == batch.values[first:last].tolist()
        assert single.dense.tolist() == batch.dense[row].tolist()
        assert np.isfinite(single.dense).all()
        assert np.isfinite(single.values).all()
        assert not len(single.indices) or int(single.indices.max()) < SPEC.buckets


@pytest.mark.parametrize("text", ["x" * 10**6, "继续" * 500_000, " " * 10**6, "\ud800" * 10**6])
def test_of_a_text_of_a_million_characters_a_sample_is_read(text: str) -> None:
    extractor = Extractor(SPEC)
    whole, sample = (extractor.features(each, 10**6) for each in (text, ends(text)))
    assert whole.indices.tolist() == sample.indices.tolist()
    assert whole.dense.tolist() == sample.dense.tolist()
    assert len(ends(text)) <= QUESTION_CHARACTERS + 1


def test_the_end_of_a_long_text_is_read() -> None:
    extractor = Extractor(SPEC)
    asked = set(extractor.features("material " * 10_000 + "prove it").indices.tolist())
    assert set(extractor.features("prove it").indices[:2].tolist()) <= asked


def test_code_points_past_the_tables_are_harmless() -> None:
    last = chr(len(CODE_OF) - 1)
    assert found("\U0010ffff\U0003ffff", "characters", 2) == found(last + last, "characters", 2)


@pytest.mark.parametrize("group", [("words", 5, 8), ("characters", 7, 8), ("words", 1, 25), ("words", 0, 8)])
def test_a_group_outside_the_limits_is_refused(group: tuple[str, int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        FeatureSpec((Group(*group),))  # type: ignore[arg-type]  # drawn from a table
