"""Judges a text by an artifact: features, weights, heads, reasons."""

from __future__ import annotations

import numpy as np

from tandem.classifier.artifact import Artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.heads import Heads
from tandem.classifier.reasons import Reasons
from tandem.classifier.summing import Sums
from tandem.v1 import types_pb2


class Judge:
    """Finds the learned signals of a conversation by one artifact; immutable."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._sums = Sums(artifact.weights)
        self._heads = Heads(artifact.header)
        self._reasons = Reasons(artifact)
        self._context_weight = np.float32(artifact.header.context_weight)

    def judge(
        self, conversation: Conversation, signals: types_pb2.Signals | None = None
    ) -> types_pb2.Signals:
        """Return complexity, r1_suffices, expected_gain, task, domain and professional, with the reasons.

        They are filled into `signals`, if there are some.

        The context speaks through its n-grams alone: how long it is says nothing about what is asked.
        """
        sums, extractor = self._sums, self.artifact.extractor
        features = extractor.features(*conversation.request)
        ngrams = sums.ngrams(features.indices, features.values)
        if conversation.context and self._context_weight:
            context = extractor.features(conversation.context, encode=False)
            ngrams += self._context_weight * sums.ngrams(context.indices, context.values)
        form, standard, angles = sums.form(features.dense)
        signals = types_pb2.Signals() if signals is None else signals
        self._heads.read(ngrams + form, signals)
        signals.reasons.extend(self._reasons.tell(features, standard, angles, ngrams))
        signals.artifact_revision = self.artifact.revision
        return signals
