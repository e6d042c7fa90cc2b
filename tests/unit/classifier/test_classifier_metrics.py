"""Would catch requests that the classifier reads and does not count, or an artifact that is not named."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.call import Call
from tandem.classifier.metrics import MeasuredClassifier
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes.calls import call, user
from tests.fakes.services import FakeClassifier, signals
from tests.fakes.told import told

pytestmark = pytest.mark.virtual_time
JUDGING: Any = SimpleNamespace(judge=SimpleNamespace(artifact=SimpleNamespace(revision="1f")))


class Slow(FakeClassifier):
    """Takes two milliseconds."""

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        await asyncio.sleep(0.002)
        return await super().classify(request, call)


async def test_what_is_found_is_counted_and_timed_and_handed_on() -> None:
    inner = Slow()
    classifier = MeasuredClassifier(inner, JUDGING)
    request = classifier_pb2.ClassifyRequest(messages=[user()])
    inner.found.language.value = "en"
    assert (await classifier.classify(request, call())).signals == inner.found
    inner.found = types_pb2.Signals()
    inner.found.CopyFrom(signals())
    inner.found.task.value = types_pb2.TASK_CODE
    await classifier.classify(request, call())
    found = told(classifier)
    assert found.of("tandem_classifier_tasks_total") == {"task=factual": 1, "task=code": 1}
    assert found.of("tandem_classifier_domains_total") == {"domain=science": 2}
    assert found.of("tandem_classifier_languages_total") == {"language=en": 1, "language=none": 1}
    assert found.of("tandem_classifier_duration_seconds_sum") == {"": pytest.approx(0.004)}
    assert found.of("tandem_classifier_duration_seconds_count") == {"": 2}
    assert found.of("tandem_classifier_artifact_info") == {"revision=1f": 1}


async def test_a_failure_goes_on_and_counts_nothing() -> None:
    inner = FakeClassifier()
    inner.failure = ValueError("broken")
    classifier = MeasuredClassifier(inner, JUDGING)
    with pytest.raises(ValueError, match="broken"):
        await classifier.classify(classifier_pb2.ClassifyRequest(), call())
    assert told(classifier).total("tandem_classifier_duration_seconds_count") == 0
