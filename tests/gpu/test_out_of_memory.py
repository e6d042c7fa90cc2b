"""Would catch: words of a real card that nobody recognises, an answer lost to its full memory, books that disagree."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from itertools import pairwise
from typing import Final

import pytest

from tandem.embedded.triton import TritonProcess
from tandem.v1 import types_pb2
from tests.gpu.episode import ASKED_WHILE_FULL, LONG, SHORT, STREAMS, Episode, used
from tests.gpu.hearing import DEADLINE_SECONDS, Heard
from tests.gpu.observer import WELL, State
from tests.system import TANDEM, Tandem, ledger_beside

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PRO: Final = types_pb2.Target(tier="pro", variant="bf16")
R1: Final = types_pb2.Target(tier="r1", variant="bf16")
R1_INT8: Final = types_pb2.Target(tier="r1", variant="int8")
OUT_OF_MEMORY: Final = types_pb2.DEGRADATION_REASON_OUT_OF_MEMORY
BOOKED_SECONDS: Final = 10.0
WINDOW_SECONDS: Final = 1.0
"""The policy's overload.window_ms."""


def story(words: int) -> str:
    """Return the answer of so many words, which is the same from every model."""
    return " ".join(f"t{number}{'.' if number % 8 == 7 else ''}" for number in range(words))


def all_of(episode: Episode) -> list[Heard]:
    return [heard for several in episode.answers.values() for heard in several]


async def test_the_memory_of_the_card_was_full_and_is_free_again(episode: Episode) -> None:
    memory = episode.memory
    assert memory["idle"].held == 0
    assert used(memory["answering"]) > used(memory["idle"])
    for moment in ("taken", "full"):
        assert memory[moment].free < 20 << 20
    assert memory["full"].held > memory["taken"].held
    assert memory["freed"].held == 0


async def test_every_answer_is_whole_and_in_time(episode: Episode) -> None:
    for heard in all_of(episode):
        assert heard.text == heard.answer.text == story(heard.words)
        assert heard.answer.finish_reason == types_pb2.FINISH_REASON_STOP
        assert heard.seconds < DEADLINE_SECONDS


async def test_answers_under_way_go_on_at_int8_behind_a_seam(episode: Episode) -> None:
    for tier, target in (("pro", PRO), ("r1", R1)):
        for heard in episode.answers[f"surprised {tier}"]:
            assert heard.kinds == ["started", "text", "seam", "text", "finished"]
            assert heard.story == [(tier, "OUT_OF_MEMORY"), ("r1-int8", "ANSWERED")]
            (seam,) = (event.seam for event in heard.events if event.HasField("seam"))
            assert (seam.from_target, seam.to_target, seam.cause) == (target, R1_INT8, OUT_OF_MEMORY)
            made = heard.answer.attempts[0].usage.output_tokens
            assert seam.byte_offset == len(story(made))
            assert made >= 20


async def test_the_words_of_the_card_are_recognised_and_passed_on(episode: Episode) -> None:
    for heard in [*episode.answers["surprised pro"], *episode.answers["surprised r1"]]:
        (degradation,) = heard.answer.degradations
        assert degradation.reason == OUT_OF_MEMORY
        assert "CUDA out of memory. Tried to allocate" in degradation.detail


async def test_while_the_memory_is_full_int8_answers(episode: Episode) -> None:
    answers = episode.answers["full pro"]
    assert len(answers) == ASKED_WHILE_FULL
    for heard in answers:
        assert heard.answer.answered_by == R1_INT8
        assert heard.kinds == ["started", "text", "finished"]
        assert [each.reason for each in heard.answer.degradations] == [OUT_OF_MEMORY]
    stories = Counter(tuple(heard.story) for heard in answers)
    assert stories.keys() <= {
        (("r1-int8", "ANSWERED"),),  # the breaker kept it off
        (("pro", "OUT_OF_MEMORY"), ("r1-int8", "ANSWERED")),  # a probe
    }
    assert stories[("r1-int8", "ANSWERED"),] > 0
    (r1,) = episode.answers["full r1"]
    assert r1.story == [("r1", "OUT_OF_MEMORY"), ("r1-int8", "ANSWERED")]


async def test_the_limit_of_pro_is_halved_by_failures_and_grows_by_one_with_answers(episode: Episode) -> None:
    limits = episode.observer.limits("pro/bf16")
    lowest = limits.index(min(limits))
    assert limits[:2] == [8, 4]
    assert all(after == before // 2 for before, after in pairwise(limits[: lowest + 1]))
    assert limits[lowest:] == list(range(limits[lowest], 8 + 1))
    answered = sum(heard.story == [("pro", "ANSWERED")] for heard in episode.answers["recovering pro"])
    assert answered >= len(limits[lowest:]) - 1
    times = episode.observer.growth_times("pro/bf16")
    assert all(after - before > 0.9 * WINDOW_SECONDS for before, after in pairwise(times))


async def test_the_limit_of_a_model_that_is_not_asked_does_not_grow(episode: Episode) -> None:
    """R1 failed twice, once with the first answers and once while there was no memory; nothing else came to it."""
    assert episode.observer.limits("r1/bf16") == [32, 16, 8]
    assert episode.observer.limits("r1/int8") == [32]


async def test_the_breaker_of_pro_opens_and_closes(episode: Episode) -> None:
    breakers = episode.observer.breakers("pro/bf16")
    assert breakers[:2] == ["CLOSED", "OPEN"]
    assert breakers[-2:] == ["HALF_OPEN", "CLOSED"]
    assert episode.observer.breakers("r1/int8") == ["CLOSED"]
    assert episode.observer.now("pro/bf16") == WELL == State(8, "CLOSED")


async def test_pro_answers_as_before_once_there_is_memory(episode: Episode) -> None:
    answers = episode.answers["recovered pro"]
    assert len(answers) == STREAMS
    for heard in answers:
        assert heard.words == LONG > SHORT
        assert heard.story == [("pro", "ANSWERED")]
        assert heard.kinds == ["started", "text", "finished"]
        assert not heard.answer.degradations


async def test_no_process_ended(episode: Episode, triton: TritonProcess) -> None:
    before, after = episode.pids
    assert before == after
    assert before.keys() == {"r1", "r1-int8", "pro"}
    assert triton.status.restarts == 0


async def test_what_answers_say_is_what_the_engines_made(episode: Episode) -> None:
    """What a prompt took that was read for an attempt that failed is known later, and then is in the ledger."""
    claimed: dict[str, Counter[str]] = {"requests": Counter(), "output_tokens": Counter()}
    for heard in all_of(episode):
        for attempt in heard.answer.attempts:
            claimed["requests"][attempt.model] += 1
            claimed["output_tokens"][attempt.model] += attempt.usage.output_tokens
    for what, by_model in claimed.items():
        assert dict(by_model) == episode.engine[what]


async def test_the_ledger_agrees_with_the_engines_to_the_token(
    episode: Episode, system: Tandem, triton: TritonProcess
) -> None:
    command = [str(TANDEM), "ledger", "check", "--database", ledger_beside(system.log_file)]
    command += ["--metrics", triton.metrics_url, "--tolerance", "0", "--json"]
    end = time.monotonic() + BOOKED_SECONDS
    while True:
        checking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await checking.communicate()
        if checking.returncode == 0 or time.monotonic() > end:
            break
    found = json.loads(out)
    assert found["ok"], found
    assert {(each["model"], each["kind"]) for each in found["models"]} == {
        (model, kind) for model in ("r1", "r1-int8", "pro") for kind in ("input", "output")
    }
    assert all(each["ledger"] == each["engine"] > 0 for each in found["models"])
