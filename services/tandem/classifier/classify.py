"""Turns a conversation into signals, by the artifact that is current."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tandem.call import Call
from tandem.classifier.conversation import read
from tandem.classifier.judge import Judge
from tandem.classifier.language import language_of
from tandem.classifier.size import context_tokens
from tandem.errors import DeadlineExceeded
from tandem.modality import modalities
from tandem.v1 import classifier_pb2, types_pb2


class Judging(Protocol):
    """Holds the judge that is current; it may be replaced between requests."""

    @property
    def judge(self) -> Judge:
        """The judge of now."""
        ...


class ClassifierCore:
    """Finds signals; satisfies `tandem.protocols.Classifier`."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation; waits for nothing but an encoder.

        Raises:
            DeadlineExceeded: the encoder was too slow.
        """
        judge = self._judging.judge
        if judge.artifact.header.encoder is None:
            return judged(request, judge)
        # Encoding takes milliseconds, which other requests must not wait for.
        try:
            async with asyncio.timeout_at(call.deadline):
                return await asyncio.to_thread(judged, request, judge)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "the sentence encoder was late; grant the classifier more time, or take an artifact without one"
            ) from error


def judged(request: classifier_pb2.ClassifyRequest, judge: Judge) -> classifier_pb2.ClassifyResponse:
    """Return the response with the signals of a conversation of at least one message."""
    response = classifier_pb2.ClassifyResponse()
    # Filled in where it belongs: putting it there afterwards copies it.
    signals = response.signals
    conversation = read(request.messages)
    judge.judge(conversation, signals)
    language = signals.language
    language.value, language.confidence = language_of(conversation.question)
    signals.modalities.extend(modalities(request.messages))
    signals.context_tokens = context_tokens(request.messages)
    return response


def signals_of(request: classifier_pb2.ClassifyRequest, judge: Judge) -> types_pb2.Signals:
    """Return the signals of a conversation of at least one message."""
    return judged(request, judge).signals
