"""Counts and times what the classifier finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.call import Call
from tandem.classifier.classify import Judging
from tandem.clock import now
from tandem.protocols import Classifier
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import NONE, Facts, Words, info, sampled_trace, words
from tandem.v1 import classifier_pb2, types_pb2

_SPELLED: Final[Mapping[str, Words]] = {
    "task": words(types_pb2.Task, "TASK_"),
    "domain": words(types_pb2.Domain, "DOMAIN_"),
}


class MeasuredClassifier(Collector):
    """A classifier that is measured; satisfies `tandem.protocols.Classifier`.

    Args:
        classifier: finds the signals.
        judging: the artifact that it finds them by.
    """

    def __init__(self, classifier: Classifier, judging: Judging) -> None:
        self._classifier, self._judging = classifier, judging
        self._found = Facts(("task", "domain", "language"), names.QUICK_SECONDS, _SPELLED)

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation."""
        began = now()
        response = await self._classifier.classify(request, call)
        signals = response.signals
        key = (signals.task.value, signals.domain.value, signals.language.value or NONE)
        self._found.note(key, now() - began, sampled_trace(call.traceparent))
        return response

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        yield self._found.distribution(names.CLASSIFIER_SECONDS)
        yield self._found.counts(names.TASKS)
        yield self._found.counts(names.DOMAINS)
        yield self._found.counts(names.LANGUAGES)
        yield info(names.CLASSIFIER_ARTIFACT, self._judging.judge.artifact.revision)
