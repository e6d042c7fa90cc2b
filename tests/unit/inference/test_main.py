"""Would catch: a tier called healthy without a variant that can answer, or a log that repeats itself every second."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tandem.inference.__main__ import readiness_check
from tests.fakes.inference import ScriptedInference, saying

SERVICE = "tandem.v1.InferenceService"


@pytest.mark.parametrize("ready", [True, False])
async def test_healthy_while_a_variant_is_ready(ready: bool) -> None:
    tier = ScriptedInference(saying("x"))
    tier.ready = ready
    assert await readiness_check(tier)() == {"": ready, SERVICE: ready}


async def test_the_log_tells_changes_only() -> None:
    tier = ScriptedInference(saying("x"))
    check = readiness_check(tier)
    with capture_logs() as logs:
        for ready in (True, True, False, False, True):
            tier.ready = ready
            await check()
    assert len([entry for entry in logs if entry["event"] == "readiness"]) == 3
