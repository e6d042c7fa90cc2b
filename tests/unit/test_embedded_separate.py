"""Would catch: a separate inference service that is told another tier's Triton."""

from __future__ import annotations

from pathlib import Path

from tandem.embedded.separate import lay_out
from tandem.embedded.system import System


def test_each_tier_gets_its_own_triton() -> None:
    system = System({"r1": "a:1", "pro": "b:2"}, "127.0.0.1:0", Path("catalogue"), Path("policy"))
    _, services = lay_out(system, ["r1", "pro"])
    told = [
        (each.environment["TANDEM_INFERENCE_TIER"], each.environment["TANDEM_INFERENCE_TRITON"])
        for each in services
        if each.name == "inference"
    ]
    assert told == [("r1", "a:1"), ("pro", "b:2")]
