"""Would catch: a reserve that trusts a prior against what was seen, or a long prompt that is thought to be quick."""

from __future__ import annotations

import pytest

from tandem.catalogue import Latency
from tandem.orchestrator.latency import LatencyModel

PRIOR = Latency(ttft_ms=100, ttft_ms_per_1000_tokens=50, tpot_ms=10)


def test_at_first_the_catalogue_is_believed() -> None:
    model = LatencyModel(PRIOR)
    assert model.observations == 0
    # a class of prompts is as slow as its longest one: 256, 1024, … tokens
    assert model.ttft_ms(0.5, 10) == model.ttft_ms(0.99, 256) == 100 + 50 * 0.256
    assert model.ttft_ms(0.5, 257) == 100 + 50 * 1.024
    assert model.ttft_ms(0.5, 20_000) == 100 + 50 * 32.768
    assert model.tpot_ms(0.95) == 10
    assert model.short_ms(0.95, 10, 256) == 100 + 50 * 0.256 + 2560


def test_attempts_are_believed_more() -> None:
    model = LatencyModel(PRIOR)
    for _ in range(200):
        model.saw_first_token(10, 400)
        model.saw_tokens(100, 2000)
    assert model.ttft_ms(0.5, 10) == pytest.approx(400, rel=0.11)
    assert model.tpot_ms(0.5) == pytest.approx(20, rel=0.11)
    assert model.observations == 200


def test_a_longer_prompt_is_never_thought_to_be_quicker() -> None:
    model = LatencyModel(PRIOR)
    for _ in range(200):
        model.saw_first_token(10, 9000)
    found = [model.ttft_ms(0.95, tokens) for tokens in (10, 500, 3000, 10_000, 100_000)]
    assert found == sorted(found)
    assert found[-1] >= 9000


def test_what_is_short_tells_nothing_about_the_pace() -> None:
    model = LatencyModel(PRIOR)
    model.saw_tokens(7, 70_000)
    assert model.tpot_ms(0.99) == 10
