"""Would catch: an attempt that hangs and is waited for, one that goes well and is given up, an answer that is late."""

from __future__ import annotations

import asyncio

import pytest

from tandem.clock import now
from tandem.errors import (
    DeadlineExceeded,
)
from tandem.v1 import types_pb2
from tests.fakes.attempts import R1, Run, run, shown
from tests.fakes.calls import call
from tests.fakes.inference import HANG, Piece, ScriptedInference, Step, finished, saying, text

pytestmark = pytest.mark.virtual_time


# --- time


async def test_the_first_attempt_ends_by_its_allowance_and_the_last_gets_the_rest() -> None:
    tried = Run(ScriptedInference([HANG]), ScriptedInference(saying("fine")), call(seconds=1.0))
    # 10 ms are the margin, half of the rest is the reserve
    assert tried.plan.attempts[0].allowance_ms == pytest.approx(495)
    await tried.answer()
    first, last = tried.record.attempts
    assert first.duration_ms == pytest.approx(495)
    assert last.started_ms == pytest.approx(495)
    assert last.allowance_ms == pytest.approx(495)
    assert tried.pro.calls[0].deadline == pytest.approx(tried.call.deadline - 0.01)


async def test_no_attempt_may_outlive_the_deadline() -> None:
    tried = run(saying("fine"), [])
    tried.plan.attempts[0].allowance_ms = 1e9
    await tried.answer()
    assert tried.r1.calls[0].deadline <= tried.call.deadline - 0.01


@pytest.mark.parametrize(("token_ms", "outcomes"), [(15, ["ANSWERED"]), (50, ["TIMEOUT", "ANSWERED"])])
async def test_what_goes_well_when_its_allowance_ends_goes_on(token_ms: int, outcomes: list[str]) -> None:
    """A token of r1 takes 10 ms. At a pace of 15 it goes on beyond its 495 ms; at 50 another model does better."""
    slow = ScriptedInference([*(text(f"w{n} ") for n in range(40)), *saying("end")], saying("fine"))
    slow.token_seconds = token_ms / 1000
    tried = Run(slow, ScriptedInference(saying("pro")), call(seconds=1.0))
    await tried.answer()
    assert tried.outcomes() == outcomes
    assert tried.result.text.startswith("w0 w1 w2 ")


async def test_what_nobody_can_replace_goes_on_to_the_end() -> None:
    """The allowance is over after 195 ms, but pro is away and int8 too: r1 gets what was reserved for them."""
    slow = [*(text(f"w{n} ") for n in range(30)), *saying("end")]
    tried = Run(ScriptedInference(slow), ScriptedInference([]), call(seconds=0.4))
    tried.r1.token_seconds = 0.01
    for model in tried.live:
        for _ in range(5):
            model.breaker.failed(types_pb2.ATTEMPT_OUTCOME_UNAVAILABLE, 0)
    tried.live.of(R1).breaker._close()
    await tried.answer()
    assert tried.result.text.endswith("w29 end")
    assert tried.outcomes() == ["ANSWERED"]
    assert tried.record.attempts[0].duration_ms == pytest.approx(320)


@pytest.mark.parametrize("said", [[], [text("Some words. "), text("Then")]], ids=["silent", "in the middle"])
async def test_a_model_that_hangs_is_left_long_before_its_allowance_ends(said: list[Step]) -> None:
    """Without a word for 2 s, or for 1 s after one, it hangs; its allowance is 7.79 s."""
    tried = run([*said, HANG], saying("fine"))
    events = await tried.events()
    assert shown(events) == "".join(step.text for step in said if isinstance(step, Piece)) + "fine"
    assert tried.outcomes() == ["TIMEOUT", "ANSWERED"]
    waited_ms = 2000 if not said else 1000 + 2
    assert tried.record.attempts[0].duration_ms == pytest.approx(waited_ms)
    assert "hang" in tried.record.attempts[0].error_message
    assert tried.record.degradations[0].reason == types_pb2.DEGRADATION_REASON_TIMEOUT


async def test_a_model_that_nobody_can_replace_is_waited_for() -> None:
    tried = run([HANG], [], max_attempts=1)
    with pytest.raises(DeadlineExceeded):
        await tried.answer()
    assert tried.record.attempts[0].duration_ms == pytest.approx(9990)


async def test_a_model_that_became_slow_is_waited_for_longer() -> None:
    tried = run([HANG], saying("fine"))
    model = tried.live.of(R1)
    assert model.patience_ms(10) == 2000
    await tried.answer()
    assert model.patience_ms(10) == 4000
    model.hung(1.9)
    assert model.patience_ms(10) == 4000, "it hung at the same time, not again"
    for _ in range(3):
        await asyncio.sleep(1)
        model.hung(now())
    assert model.patience_ms(10) == 8000
    model.gave_token(10, 100, 0.0)
    assert model.patience_ms(10) == 2000


async def test_an_answer_that_time_cuts_off_is_an_answer_that_says_so() -> None:
    tried = run([text("One sentence. "), text("And half"), HANG], [], max_attempts=1)
    events = await tried.events()
    assert shown(events) == tried.result.text == "One sentence. And half"
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert [d.reason for d in tried.record.degradations] == [types_pb2.DEGRADATION_REASON_DEADLINE]
    assert tried.call.remaining() == pytest.approx(0.01)


# --- the short answer of a fallback


async def test_a_fallback_is_sized_to_the_time_that_is_left() -> None:
    """Of 0.99 s, pro's half are 495 ms: 100 ms to r1's first token, and 39 tokens of 10 ms."""
    tried = Run(ScriptedInference(saying("short")), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1)
    await tried.answer()
    assert tried.r1.requests[0].sampling.max_tokens == 39
    assert tried.record.degradations[0].max_tokens == 39


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["A fact. ", "3.", "14 is pi. ", "And then it wou"], "A fact. 3.14 is pi."),
        (["量子计算很快。", "它使用", "量子比特！", "然后"], "量子计算很快。它使用量子比特！"),
        (["no sentence at all"], "no sentence at all"),
        (["He said “stop.” ", "Then he"], "He said “stop.”"),
    ],
)
async def test_a_short_answer_ends_at_a_sentence(words: list[str], whole: str) -> None:
    cut = [*map(text, words), finished(len(words), reason=types_pb2.FINISH_REASON_LENGTH)]
    tried = Run(ScriptedInference(cut), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1)
    events = await tried.events()
    assert shown(events) == tried.result.text == whole
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH


async def test_a_short_answer_that_ends_by_itself_is_whole() -> None:
    tried = Run(
        ScriptedInference(saying("Yes. ", "It ", "is")), ScriptedInference([HANG]), call(1.0), r1_suffices=0.1
    )
    await tried.answer()
    assert tried.result.text == "Yes. It is"
