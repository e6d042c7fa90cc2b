"""Turns a conversation into signals. A heuristic: terms and form, no learned weights, no state.

What its numbers are worth is measured in docs/classifier.md. Confidences stay as low as those measurements are.
"""

from __future__ import annotations

import math
from typing import Final

from tandem.call import Call
from tandem.classifier.complexity import rate
from tandem.classifier.conversation import read
from tandem.classifier.language import language_of
from tandem.classifier.marks import marks_of
from tandem.classifier.size import context_tokens, text_tokens
from tandem.classifier.topics import Topics
from tandem.classifier.words import Words
from tandem.modality import modalities
from tandem.v1 import classifier_pb2, types_pb2

ARTIFACT_REVISION: Final = "heuristic-1"
BORDER: Final = 5.0
"""The complexity at which R1 suffices with probability 0.5."""
STEEPNESS: Final = 0.3
"""Change of the log-odds that R1 suffices, per point of complexity."""
MOST_GAIN: Final = 0.4
"""Expected gain of a request that R1 certainly fails."""
COMPLEXITY_CONFIDENCE: Final = 0.5
LEAST_CONFIDENCE: Final = 0.5
MOST_CONFIDENCE: Final = 0.65


class ClassifierCore:
    """Finds signals; satisfies `tandem.protocols.Classifier`."""

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation; never waits and never fails."""
        return classifier_pb2.ClassifyResponse(signals=signals_of(request))


def signals_of(request: classifier_pb2.ClassifyRequest) -> types_pb2.Signals:
    """Return the signals of a conversation of at least one message."""
    conversation = read(request.messages)
    words = Words(conversation.question)
    marks = marks_of(conversation.question, words)
    topics = Topics(conversation.question, words, Words(conversation.context), marks)
    domain = topics.domain()
    professional = topics.professional(domain)
    complexity = rate(words, marks, text_tokens(conversation.question), (domain, professional.value))
    suffices = _logistic((BORDER - complexity.value) * STEEPNESS)
    confidence = LEAST_CONFIDENCE + (MOST_CONFIDENCE - LEAST_CONFIDENCE) * abs(2 * suffices - 1)
    return types_pb2.Signals(
        complexity=types_pb2.ScoreSignal(value=complexity.value, confidence=COMPLEXITY_CONFIDENCE),
        r1_suffices=types_pb2.ScoreSignal(value=suffices, confidence=confidence),
        expected_gain=types_pb2.ScoreSignal(value=MOST_GAIN * (1 - suffices), confidence=confidence),
        task=topics.task(),
        domain=domain,
        language=language_of(conversation.question, words),
        professional=professional,
        modalities=modalities(request.messages),
        context_tokens=context_tokens(request.messages),
        reasons=complexity.reasons,
        artifact_revision=ARTIFACT_REVISION,
    )


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
