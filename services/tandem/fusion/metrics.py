"""Counts and times the votes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tandem.call import Call
from tandem.clock import now
from tandem.fusion.fuse import Weighing
from tandem.protocols import Fusion
from tandem.telemetry import metric_names as names
from tandem.telemetry.measures import NONE, Facts, info, sampled_trace, words
from tandem.v1 import fusion_pb2, types_pb2

_RULES: Final = {"rule": words(types_pb2.FusionRule, "FUSION_RULE_")}


class MeasuredFusion(Collector):
    """A fusion that is measured; satisfies `tandem.protocols.Fusion`.

    Args:
        fusion: chooses.
        weighing: what it knows of the voices.
    """

    def __init__(self, fusion: Fusion, weighing: Weighing) -> None:
        self._fusion, self._weighing = fusion, weighing
        self._votes = Facts(("rule",), names.QUICK_SECONDS, _RULES)
        self._agreement = Facts((), names.RATIOS)

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose by weighted vote."""
        began = now()
        response = await self._fusion.fuse(request, call)
        self._votes.note((response.fusion.rule,), now() - began, sampled_trace(call.traceparent))
        self._agreement.note((), response.fusion.agreement)
        return response

    def collect(self) -> Iterator[Family]:
        """Tell all of it."""
        yield self._votes.distribution(names.FUSION_SECONDS)
        yield self._votes.counts(names.FUSIONS)
        yield self._agreement.distribution(names.AGREEMENT)
        yield info(names.FUSION_ARTIFACT, self._weighing.learned.artifact.revision or NONE)
