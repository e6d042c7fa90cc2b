"""Catches an artifact that differs from run to run, is used though it is damaged, or is read slowly."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from tandem.classifier.artifact import LARGEST_BYTES, load_artifact, write_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.features import Extractor
from tandem.classifier.settings import DEFAULT_ARTIFACT
from tandem.classifier.weights import Weights, in_bytes
from tests.fakes import artifacts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made.safetensors"


def test_the_same_content_gives_the_same_bytes_and_another_seed_another_revision(file: Path) -> None:
    revision = artifacts.write(file)
    content = file.read_bytes()
    assert artifacts.write(file) == revision
    assert file.read_bytes() == content
    assert artifacts.write(file, seed=1) != revision
    assert artifacts.write(file, card={"made": "otherwise"}) != revision
    assert revision.startswith("by-hand-")
    assert list(file.parent.iterdir()) == [file]


def test_what_is_read_is_what_was_written(file: Path) -> None:
    revision = artifacts.write(file)
    read, written = load_artifact(file), artifacts.weights()
    assert read.revision == revision
    assert read.header == artifacts.header()
    assert read.extractor.spec == artifacts.SPEC
    for name in (
        "buckets",
        "rows",
        "columns",
        "dense",
        "mean",
        "scale",
        "bias",
        "frequencies",
        "phases",
        "waves",
    ):
        assert np.array_equal(getattr(read.weights, name), getattr(written, name))


def test_weights_in_bytes_are_within_half_a_step_of_their_row() -> None:
    weights = np.random.default_rng(0).normal(0, [[1.0, 0.01]], (50, 2)) * np.linspace(0.001, 1, 50)[:, None]
    buckets, rows, columns = in_bytes(weights)
    steps = rows[:, None] * columns
    assert np.all(np.abs(buckets * steps - weights) <= steps * 0.501)
    assert int(np.abs(buckets).max()) == 127
    assert np.array_equal(in_bytes(np.zeros((3, 2)))[0], np.zeros((3, 2)))


def test_the_score_is_the_sum_of_its_parts() -> None:
    weights: Weights = artifacts.weights()
    extractor = Extractor(artifacts.SPEC, artifacts.terms())
    features = extractor.features("Prove that 2 + 2 = 4, 证明。")
    table = (
        weights.buckets.astype(float) * weights.rows[:, None].astype(float) * weights.columns.astype(float)
    )
    expected = np.array(weights.bias, float)
    for index, value in zip(features.indices, features.values, strict=True):
        expected += value * table[index]
    standard = np.clip((features.dense - weights.mean) / weights.scale, -weights.limit, weights.limit)
    for number, dense in enumerate(standard):
        expected += dense * weights.dense[number]
    for number, phase in enumerate(weights.phases):
        angle = math.fsum(standard * weights.frequencies[:, number]) + phase
        expected += math.cos(angle) * weights.waves[number]
    assert artifacts.score(weights, features).tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)


def rewritten(file: Path, **changes: Any) -> None:
    """Put other tensors into a file, whose digest then is wrong unless nothing changed."""
    tensors: dict[str, Any] = {**load_file(file), **changes}
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, file, metadata)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.unlink(), "cannot be read"),
        (lambda file: file.write_bytes(b""), "no artifact, or damaged"),
        (lambda file: file.write_text("name: tandem"), "no artifact, or damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "no artifact, or damaged"),
        (lambda file: file.write_bytes(bytes(LARGEST_BYTES + 1)), "more than"),
        (lambda file: save_file({"x": np.ones(1)}, file), "no artifact, or damaged"),
        (lambda file: rewritten(file, bias=np.ones(len(artifacts.COLUMNS), np.float32)), "digest"),
        (lambda file: rewritten(file, bias=None), "digest"),
    ],
)
def test_a_file_that_is_none_or_damaged_is_refused(file: Path, damage: Any, said: str) -> None:
    artifacts.write(file)
    damage(file)
    with pytest.raises(ArtifactUnusable, match=said) as caught:
        load_artifact(file)
    assert "tandem train classifier" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bias": np.zeros(3, np.float32)}, "bias should have the shape"),
        ({"buckets": np.zeros((3, 15), np.int8)}, "buckets should have the shape"),
        ({"dense": np.zeros(3, np.float32)}, "rows and columns"),
        ({"mean": np.zeros(3, np.float64)}, "its tensors should be"),
        ({"bias": np.full(len(artifacts.COLUMNS), np.nan, np.float32)}, "not finite"),
        ({"scale": np.zeros(artifacts.weights().scale.shape, np.float32)}, "not above 0"),
    ],
)
def test_parts_that_do_not_fit_are_not_written(file: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ArtifactUnusable, match=said):
        write_artifact(file, artifacts.header(), replace(artifacts.weights(), **changes), artifacts.terms())
    assert not file.exists()


def test_terms_must_rise(file: Path) -> None:
    terms = artifacts.terms()
    with pytest.raises(ArtifactUnusable, match="term_keys do not rise"):
        write_artifact(file, artifacts.header(), artifacts.weights(), replace(terms, keys=terms.keys[::-1]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format"),
        ({"name": "A name"}, "name"),
        ({"columns": [*artifacts.COLUMNS, "hard"]}, "columns stand twice"),
        ({"columns": artifacts.COLUMNS[1:]}, "columns lack hard"),
        ({"task": {"labels": ("code", "juggling"), "temperature": 1, "threshold": 0}}, "no TASK_JUGGLING"),
        ({"features": {"groups": [{"kind": "words", "size": 9, "bits": 8}]}}, "outside"),
        ({"features": {"groups": [{"kind": "sounds", "size": 1, "bits": 8}]}}, "features"),
        (
            {"complexity": {"mix": {"hard": 1}, "at": (0, 1), "value": (0, 11), "confidence": (1, 1)}},
            "complexity",
        ),
        (
            {"complexity": {"mix": {"hard": 1}, "at": (1, 1), "value": (0, 1), "confidence": (1, 1)}},
            "must rise",
        ),
        (
            {"complexity": {"mix": {"hard": 1}, "at": (0, 1), "value": (0,), "confidence": (1, 1)}},
            "equally long",
        ),
        (
            {
                "complexity": {
                    "mix": {"hard": 1},
                    "at": (0, 1, 2),
                    "value": (0, 2, 1),
                    "confidence": (1, 1, 1),
                }
            },
            "turn back",
        ),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        artifacts.header(**changes)


def test_a_header_of_another_version_is_refused_in_words(file: Path) -> None:
    artifacts.write(file)
    other = artifacts.header().model_dump_json().replace('"format":1', '"format":7')
    metadata = json.dumps({"digest": "", "header": other})
    save_file(load_file(file), file, {"tandem": metadata})
    with pytest.raises(ArtifactUnusable, match="header is not valid: format"):
        load_artifact(file)


def test_the_shipped_artifact_is_small_quick_and_what_its_digest_says() -> None:
    assert DEFAULT_ARTIFACT.stat().st_size <= LARGEST_BYTES
    assert load_artifact(DEFAULT_ARTIFACT).revision.startswith(load_artifact(DEFAULT_ARTIFACT).header.name)
    assert min(seconds_to_load() for _ in range(5)) < 0.2


def seconds_to_load() -> float:
    started = time.process_time()
    load_artifact(DEFAULT_ARTIFACT)
    return time.process_time() - started


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("content") / "made.safetensors"
    artifacts.write(file)
    return file.read_bytes()


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_changed_is_noticed(content: bytes, tmp_path: Path, data: st.DataObject) -> None:
    header = 8 + int.from_bytes(content[:8], "little")
    at = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    file = tmp_path / "changed.safetensors"
    file.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
    # A blank between the tensors may be another blank; nothing else may differ.
    if not content[at : at + 1].isspace():
        with pytest.raises(ArtifactUnusable):
            load_artifact(file)
