"""Would catch vectors that are lost between runs, mixed up between encoders, or spoiled by a killed process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tandem.training.classifier import design, vectors
from tandem.training.classifier.assemble import assemble, columns_of
from tandem.training.classifier.data import Pair, Table
from tandem.training.classifier.routing import fit, labels
from tandem.training.classifier.vectors import KeptVectors
from tests.fakes import artifacts
from tests.fakes.encoders import WordEncoder, spec


def test_a_text_is_encoded_once(tmp_path: Path) -> None:
    first, second = WordEncoder(), WordEncoder()
    for text in ("bread", "theorem", "bread"):
        KeptVectors(first, tmp_path, print).encode(text)
    assert KeptVectors(second, tmp_path, print).encode("theorem").tolist() == [0, 0, 1]
    assert (first.asked, second.asked) == (["bread", "theorem"], [])


def test_another_encoder_begins_anew(tmp_path: Path) -> None:
    KeptVectors(WordEncoder(), tmp_path, print).encode("bread")
    other = WordEncoder(spec(model="a" * 64))
    KeptVectors(other, tmp_path, print).encode("bread")
    assert other.asked == ["bread"]


def test_half_a_vector_is_cut_off(tmp_path: Path) -> None:
    KeptVectors(WordEncoder(), tmp_path, print).encode("bread")
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:-1])
    words = WordEncoder()
    kept = KeptVectors(words, tmp_path, print)
    assert kept.encode("theorem").tolist() == [0, 0, 1]
    assert KeptVectors(words, tmp_path, print).encode("bread").tolist() == [1, 0, 0]
    assert words.asked == ["theorem"]


def test_progress_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SAY_EVERY", 2)
    said: list[str] = []
    kept = KeptVectors(WordEncoder(), tmp_path, said.append)
    for text in ("a", "b", "c", "d", "a"):
        kept.encode(text)
    assert said == ["2 texts encoded, 2 known", "4 texts encoded, 4 known"]


def test_the_artifact_says_what_heads_over_a_vector_say(small: Table) -> None:
    words = WordEncoder()
    texts = [text.replace("integral", "integral of bread") for text in small.texts]
    found = design.batch(texts, words)
    laid = design.Design.of(found.dense)
    heads = fit(laid.rows(found), labels(small, Pair("small", "weak", "strong"), np.arange(len(small))))
    weights = assemble([columns_of(("r1_right", "pro_right"), heads, laid)], laid)
    extractor = design.extractor(words)
    said = np.array([artifacts.score(weights, extractor.features(text))[:2] for text in texts])
    assert np.abs(said - heads.predict(laid.rows(found))).max() < 0.02
    assert np.abs(weights.dense[-3]).min() > 0
