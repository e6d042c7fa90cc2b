"""Would catch votes that are not counted, or counted under another rule."""

from __future__ import annotations

import pytest

from tandem.fusion.fuse import NOTHING_LEARNED, FusionCore
from tandem.fusion.metrics import MeasuredFusion
from tandem.v1 import fusion_pb2, types_pb2
from tests.fakes.calls import call
from tests.fakes.told import told


def candidates(*texts: str) -> fusion_pb2.FuseRequest:
    return fusion_pb2.FuseRequest(
        candidates=[
            fusion_pb2.Candidate(text=text, target=types_pb2.Target(tier="r1", variant="fp16"))
            for text in texts
        ]
    )


async def test_votes_are_counted_by_the_rule_that_decided_and_handed_on() -> None:
    core = FusionCore()
    fusion = MeasuredFusion(core, NOTHING_LEARNED)
    agreed, nothing = candidates("7", "7", "8"), candidates("", "")
    response = await fusion.fuse(agreed, call())
    assert response == core.decide(agreed)
    await fusion.fuse(nothing, call())
    found = told(fusion)
    assert found.of("tandem_fusions_total") == {"rule=reliability_vote": 1, "rule=abstained": 1}
    assert found.of("tandem_fusion_agreement_ratio_sum") == {
        "": pytest.approx(response.fusion.agreement + core.decide(nothing).fusion.agreement)
    }
    assert found.of("tandem_fusion_duration_seconds_count") == {"": 2}
    assert found.of("tandem_fusion_artifact_info") == {"revision=none": 1}
