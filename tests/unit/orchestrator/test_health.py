"""Would catch: an orchestrator called healthy that nobody can answer for, or called sick by one tier."""

from __future__ import annotations

import pytest

from tandem.errors import BackendUnavailable
from tandem.orchestrator.health import tier_check
from tests.fakes.inference import ScriptedInference, saying

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("r1_ready", "pro_ready", "whole"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
async def test_one_ready_tier_is_enough(r1_ready: bool, pro_ready: bool, whole: bool) -> None:
    r1, pro = ScriptedInference(saying("x")), ScriptedInference(saying("x"))
    r1.ready, pro.ready = r1_ready, pro_ready
    check = tier_check({"r1": r1, "pro": pro}, "tandem.v1.OrchestratorService")
    assert await check() == {
        "": whole,
        "tandem.v1.OrchestratorService": whole,
        "r1": r1_ready,
        "pro": pro_ready,
    }


async def test_a_tier_that_cannot_be_asked_is_sick() -> None:
    dead, alive = ScriptedInference(saying("x")), ScriptedInference(saying("x"))
    dead.failure = BackendUnavailable("nobody listens")
    assert await tier_check({"dead": dead, "alive": alive}, "s")() == {
        "": True,
        "s": True,
        "dead": False,
        "alive": True,
    }
