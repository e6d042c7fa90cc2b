"""Would catch an engine's answer that is not counted, counted as another, or timed with what is not the engine's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

import pytest

from tandem.call import Call
from tandem.errors import BackendUnavailable, DeadlineExceeded, OutOfMemory, TandemError
from tandem.inference.engine import Piece, Prompt
from tandem.inference.generate import InferenceCore
from tandem.inference.metrics import EngineMetrics
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.calls import call, user
from tests.fakes.documents import catalogue
from tests.fakes.told import told

pytestmark = pytest.mark.virtual_time
STOP, UNSPECIFIED = types_pb2.FINISH_REASON_STOP, types_pb2.FINISH_REASON_UNSPECIFIED


class Engine:
    """Gives a token every 10 ms after the first, which takes 50 ms; then fails if told to."""

    def __init__(self, tokens: int, failure: TandemError | None = None) -> None:
        self.tokens, self.failure = tokens, failure
        self.usage: types_pb2.Usage | None = None
        self.away = False

    async def generate(self, prompt: Prompt, stream: bool, call: Call) -> AsyncGenerator[Piece, None]:
        for number in range(self.tokens):
            await asyncio.sleep(0.01 if number else 0.05)
            last = number == self.tokens - 1 and not self.failure
            yield Piece("a", 1, 6, None, STOP if last else UNSPECIFIED)
        if self.failure:
            raise self.failure

    async def receipt(self, model: str, attempt: int, call: Call) -> types_pb2.Usage | None:
        if self.away:
            await asyncio.Event().wait()
        return self.usage


class Readiness:
    """Says that r1-int8 is away."""

    instances = 3

    async def problems(self, models: Sequence[str], call: Call) -> dict[str, str]:
        return {model: "away" if "int8" in model else "" for model in models}


def measured(engine: Engine) -> tuple[InferenceCore, EngineMetrics]:
    core, metrics = InferenceCore(catalogue(), "r1", engine, Readiness()), EngineMetrics()
    core.measure(metrics)
    return core, metrics


def asked() -> inference_pb2.InferRequest:
    return inference_pb2.InferRequest(variant="fp16", messages=[user()])


GEN_AI = "gen_ai_operation_name=chat gen_ai_provider_name=triton gen_ai_request_model=r1 tier=r1 variant=fp16"


async def test_an_answer_is_timed_from_token_to_token() -> None:
    core, metrics = measured(Engine(4))
    await core.infer(asked(), call())
    found = told(metrics)
    assert found.of("tandem_engine_answers_total") == {"outcome=answered tier=r1 variant=fp16": 1}
    assert found.of("gen_ai_server_time_to_first_token_seconds_sum") == {GEN_AI: pytest.approx(0.05)}
    assert found.of("gen_ai_server_time_per_output_token_seconds_sum") == {GEN_AI: pytest.approx(0.01)}
    assert found.total("gen_ai_server_request_duration_seconds_sum") == pytest.approx(0.08)
    assert found.labels("gen_ai_server_request_duration_seconds_sum", "error_type") == {""}


@pytest.mark.parametrize(
    ("engine", "outcome"),
    [
        (lambda: Engine(2, OutOfMemory("full")), "out_of_memory"),
        (lambda: Engine(0, BackendUnavailable("dead")), "backend_unavailable"),
        (lambda: Engine(2, DeadlineExceeded("late")), "deadline_exceeded"),
    ],
)
async def test_an_answer_that_fails_is_counted_by_its_error(
    engine: Callable[[], Engine], outcome: str
) -> None:
    core, metrics = measured(engine())
    request = call(1.0)
    with pytest.raises((TandemError, TimeoutError)):
        async with asyncio.timeout_at(request.deadline):
            await core.infer(asked(), request)
    found = told(metrics)
    assert found.of("tandem_engine_answers_total") == {f"outcome={outcome} tier=r1 variant=fp16": 1}
    assert found.labels("gen_ai_server_request_duration_seconds_sum", "error_type") == {outcome.upper()}
    # The conventions time tokens of successful answers only.
    assert found.total("gen_ai_server_time_to_first_token_seconds_count") == 0


async def test_an_answer_that_nobody_waits_for_any_more_is_cancelled() -> None:
    core, metrics = measured(Engine(5))
    async with aclosing(core.stream_infer(asked(), call())) as pieces:
        await anext(pieces)
    asking = asyncio.create_task(core.infer(asked(), call()))
    await asyncio.sleep(0.02)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    assert told(metrics).of("tandem_engine_answers_total") == {"outcome=cancelled tier=r1 variant=fp16": 2}


async def test_what_comes_of_a_question_after_a_cut_attempt_is_counted() -> None:
    engine = Engine(1)
    core, metrics = measured(engine)
    request = inference_pb2.SettleUsageRequest(variant="fp16")
    await core.settle_usage(request, call())
    engine.usage = types_pb2.Usage(output_tokens=3)
    await core.settle_usage(request, call())
    engine.away = True
    with pytest.raises(DeadlineExceeded):
        await core.settle_usage(request, call(0.5))
    assert told(metrics).of("tandem_engine_receipts_total") == {
        f"outcome={outcome} tier=r1 variant=fp16": 1 for outcome in ("received", "by_engine", "late")
    }


async def test_which_variants_are_ready_is_told() -> None:
    core, metrics = measured(Engine(1))
    assert told(metrics).of("tandem_variant_ready") == {}
    await core.get_capabilities(call())
    assert told(metrics).of("tandem_variant_ready") == {
        "tier=r1 variant=fp16": 1,
        "tier=r1 variant=int8": 0,
    }
