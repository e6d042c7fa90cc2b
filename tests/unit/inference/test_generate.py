"""Would catch: a wrong prompt, reasoning in the text, wrong usage or confidence, a model left running, a late end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
from tandem.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModalityUnsupported,
    OutOfMemory,
    TandemError,
    UnknownVariant,
)
from tandem.inference.cut_off import REMEMBERED, CutOff
from tandem.inference.engine import Piece, Prompt
from tandem.inference.generate import InferenceCore
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.calls import call, image, user
from tests.fakes.documents import catalogue

STOP, UNSPECIFIED = types_pb2.FINISH_REASON_STOP, types_pb2.FINISH_REASON_UNSPECIFIED


class FakeEngine:
    """Yields pieces, then raises or waits if told to."""

    def __init__(self, *texts: str, failure: TandemError | None = None, hangs: bool = False) -> None:
        # An engine that fails or hangs has not said why it ended.
        end = None if failure or hangs else len(texts) - 1
        self.pieces = [
            Piece(text, 1, 6, -0.5 * (number + 1), STOP if number == end else UNSPECIFIED)
            for number, text in enumerate(texts)
        ]
        self.failure = failure
        self.hangs = hangs
        self.prompts: list[tuple[Prompt, bool]] = []
        self.closed = False
        self.receipts: dict[tuple[str, str, int], types_pb2.Usage] = {}
        self.away = False

    async def generate(self, prompt: Prompt, stream: bool, call: Call) -> AsyncGenerator[Piece, None]:
        self.prompts.append((prompt, stream))
        try:
            for piece in self.pieces:
                yield piece
            if self.failure is not None:
                raise self.failure
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed = True

    async def receipt(self, model: str, attempt: int, call: Call) -> types_pb2.Usage | None:
        if self.away:
            await asyncio.Event().wait()
        return self.receipts.get((model, call.request_id, attempt))


class FakeReadiness:
    """Knows what keeps some models from answering."""

    instances = 3

    def __init__(self, **problems: str) -> None:
        self._problems = problems

    async def problems(self, models: Sequence[str], call: Call) -> dict[str, str]:
        return {model: self._problems.get(model, "") for model in models}


def core(engine: FakeEngine, tier: str = "r1", *, starts_open: bool = False) -> InferenceCore:
    changes = {"tiers.r1.reasoning.starts_open": starts_open}
    return InferenceCore(catalogue(changes), tier, engine, FakeReadiness())


def request(variant: str = "fp16", prefix: str = "") -> inference_pb2.InferRequest:
    return inference_pb2.InferRequest(variant=variant, messages=[user("hi")], continuation_prefix=prefix)


async def streamed(
    inference: InferenceCore, asked: inference_pb2.InferRequest
) -> list[inference_pb2.StreamInferResponse]:
    return [message async for message in inference.stream_infer(asked, call())]


# --- what the engine gets


@pytest.mark.parametrize(("variant", "model"), [("fp16", "r1"), ("int8", "r1-int8")])
async def test_the_prompt(variant: str, model: str) -> None:
    engine = FakeEngine("x")
    asked = request(variant)
    asked.sampling.CopyFrom(types_pb2.Sampling(seed=3, stop=["mine"]))
    await core(engine).infer(asked, call())
    ((prompt, stream),) = engine.prompts
    assert (prompt.model, prompt.text, prompt.images, stream) == (model, "[user]hi\n[assistant]", (), False)
    assert prompt.sampling == types_pb2.Sampling(seed=3, stop=["mine", "<end>"])
    assert list(asked.sampling.stop) == ["mine"]


async def test_streaming_is_passed_on() -> None:
    engine = FakeEngine("x")
    await streamed(core(engine), request())
    assert engine.prompts[0][1] is True


async def test_pictures_are_passed_on_in_order() -> None:
    engine = FakeEngine("x")
    asked = inference_pb2.InferRequest(variant="bf16", messages=[image(b"one"), image(b"two")])
    await core(engine, "pro").infer(asked, call())
    assert engine.prompts[0][0].images == (b"one", b"two")


@pytest.mark.parametrize(
    ("prefix", "starts_open", "ending"),
    [
        ("", False, "[assistant]"),
        ("The sky ", False, "[assistant]The sky"),
        ("", True, "[assistant]"),
        ("The sky ", True, "[assistant]</think>\n\nThe sky"),
        ("\n", True, "[assistant]"),
    ],
)
async def test_a_continuation_is_in_the_prompt(prefix: str, starts_open: bool, ending: str) -> None:
    engine = FakeEngine("x")
    await core(engine, starts_open=starts_open).infer(request(prefix=prefix), call())
    assert engine.prompts[0][0].text == "[user]hi\n" + ending


# --- what comes back


async def test_reasoning_text_and_end() -> None:
    messages = await streamed(core(FakeEngine("<thi", "nk>a", "b</think>", "\nc", "d")), request())
    assert "".join(m.reasoning for m in messages) == "ab"
    assert "".join(m.text for m in messages) == "cd"
    assert sum(m.output_tokens for m in messages) == 5
    assert [m.HasField("finished") for m in messages] == [False] * (len(messages) - 1) + [True]


async def test_unary_and_streamed_agree() -> None:
    texts = ("<think>a</think>", "b", "c")
    answer = await core(FakeEngine(*texts)).infer(request(), call())
    messages = await streamed(core(FakeEngine(*texts)), request())
    assert (answer.text, answer.reasoning) == ("bc", "a")
    assert answer.finished == messages[-1].finished


async def test_the_length_of_the_prompt_is_told_once_as_soon_as_it_is_known() -> None:
    messages = await streamed(core(FakeEngine("a", "b", "c")), request())
    assert [message.input_tokens for message in messages] == [6, 0, 0]
    assert [message.HasField("finished") for message in messages] == [False, False, True]


async def test_the_end_tells_usage_confidence_and_model() -> None:
    finished = (await core(FakeEngine("a", "b", "c")).infer(request("int8"), call())).finished
    assert finished.usage == types_pb2.Usage(input_tokens=6, output_tokens=3)
    assert finished.finish_reason == STOP
    assert finished.model == "r1-int8"
    # three tokens, log-probabilities of -0.5 each
    assert finished.confidence == pytest.approx(math.exp(-0.5))


@given(st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(0, 1000))
def test_confidence_is_a_probability_or_absent(logprob: float | None, tokens: int) -> None:
    engine = FakeEngine()
    engine.pieces = [Piece("a", tokens, 1, logprob, STOP)]

    async def ask() -> inference_pb2.InferFinished:
        return (await core(engine).infer(request(), call())).finished

    finished = asyncio.run(ask())
    if logprob is None or tokens == 0:
        assert not finished.HasField("confidence")
    else:
        assert 0.0 <= finished.confidence <= 1.0


async def test_an_engine_that_makes_nothing() -> None:
    messages = await streamed(core(FakeEngine()), request())
    assert [m.finished.finish_reason for m in messages] == [UNSPECIFIED]
    assert not messages[0].finished.HasField("confidence")


async def test_tokens_that_show_nothing_are_counted() -> None:
    messages = await streamed(core(FakeEngine("", "a")), request())
    assert sum(m.output_tokens for m in messages) == 2


@pytest.mark.parametrize(
    ("prefix", "outputs", "new"),
    [
        ("The sky ", (" ", "is"), "is"),
        ("The sky ", ("is",), "is"),
        ("The sky", (" is",), " is"),
        ("x", ("<think>",), "<think>"),
    ],
)
async def test_a_continuation_gives_only_what_is_new(prefix: str, outputs: tuple[str, ...], new: str) -> None:
    assert (await core(FakeEngine(*outputs)).infer(request(prefix=prefix), call())).text == new


async def test_white_space_shown_before_does_not_switch_off_the_reasoning() -> None:
    answer = await core(FakeEngine("<think>a</think>b")).infer(request(prefix="\n"), call())
    assert (answer.reasoning, answer.text) == ("a", "b")


# --- refusals and failures


async def test_an_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(UnknownVariant, match="fp16, int8"):
        await core(FakeEngine()).infer(request("fp8"), call())


async def test_a_part_that_the_tier_cannot_read() -> None:
    engine = FakeEngine("x")
    asked = inference_pb2.InferRequest(variant="fp16", messages=[user(), image()])
    with pytest.raises(ModalityUnsupported, match="cannot read image; it reads text"):
        await core(engine).infer(asked, call())
    assert engine.prompts == []


async def test_a_refusing_template() -> None:
    changed = catalogue({"chat_templates.plain": "{{ raise_exception('no') }}"})
    with pytest.raises(InvalidRequest, match="no"):
        await InferenceCore(changed, "r1", FakeEngine("x"), FakeReadiness()).infer(request(), call())


async def test_an_error_comes_after_what_came_before() -> None:
    engine = FakeEngine("a", "b", failure=OutOfMemory("full"))
    texts = []
    with pytest.raises(OutOfMemory, match="full"):
        async for message in core(engine).stream_infer(request(), call()):
            texts.append(message.text)
    assert texts == ["a", "b"]


@pytest.mark.virtual_time
async def test_ending_a_hang_stops_the_engine() -> None:
    engine = FakeEngine("a", hangs=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await core(engine).infer(request(), call())
    assert engine.closed


async def test_closing_the_iterator_stops_the_engine() -> None:
    engine = FakeEngine("a", hangs=True)
    async with aclosing(core(engine).stream_infer(request(), call())) as messages:
        await anext(messages)
    assert engine.closed


# --- what an attempt took after all


async def settled(
    inference: InferenceCore, attempt: int = 0, request_id: str = "test"
) -> inference_pb2.SettleUsageResponse:
    asked = inference_pb2.SettleUsageRequest(variant="int8", attempt=attempt)
    return await inference.settle_usage(asked, call(request_id=request_id))


async def test_the_engines_own_count_settles() -> None:
    engine = FakeEngine()
    engine.receipts["r1-int8", "test", 2] = types_pb2.Usage(input_tokens=6, output_tokens=50)
    response = await settled(core(engine), 2)
    assert response.settled
    assert response.usage == types_pb2.Usage(input_tokens=6, output_tokens=50)


@pytest.mark.virtual_time
@pytest.mark.parametrize("end", ["left", "failed", "late"])
async def test_without_it_what_a_cut_off_attempt_had_sent_is_told(end: str) -> None:
    engine = FakeEngine("a", "b", failure=OutOfMemory("full") if end == "failed" else None, hangs=True)
    inference, asked = core(engine), request()
    asked.attempt = 1
    with contextlib.suppress(OutOfMemory, TimeoutError):
        async with asyncio.timeout(0.05), aclosing(inference.stream_infer(asked, call())) as messages:
            await anext(messages)
            if end != "left":
                await anext(messages)
                await anext(messages)

    response = await settled(inference, 1)
    assert not response.settled
    assert response.usage == types_pb2.Usage(input_tokens=6, output_tokens=1 if end == "left" else 2)
    assert (await settled(inference, 0)).usage == types_pb2.Usage()
    assert (await settled(inference, 1, "other")).usage == types_pb2.Usage()


async def test_of_attempts_that_ended_well_nothing_is_remembered() -> None:
    inference = core(FakeEngine("a"))
    await streamed(inference, request())
    assert (await settled(inference)).usage == types_pb2.Usage()


async def test_the_oldest_attempts_are_forgotten() -> None:
    seen = CutOff()
    for attempt in range(REMEMBERED + 1):
        seen.note("test", attempt, types_pb2.Usage(output_tokens=1))
    assert [seen.usage("test", attempt).output_tokens for attempt in (0, 1, REMEMBERED)] == [0, 1, 1]


@pytest.mark.virtual_time
async def test_an_engine_that_stays_away_settles_nothing_by_the_deadline() -> None:
    engine = FakeEngine()
    engine.away = True
    with pytest.raises(DeadlineExceeded, match="r1 did not say in time"):
        await core(engine).settle_usage(inference_pb2.SettleUsageRequest(variant="fp16"), call(seconds=0.02))


async def test_usage_of_an_unknown_variant() -> None:
    with pytest.raises(UnknownVariant, match="fp16, int8"):
        await core(FakeEngine()).settle_usage(inference_pb2.SettleUsageRequest(variant="fp8"), call())


# --- capabilities


async def test_capabilities() -> None:
    inference = InferenceCore(catalogue(), "r1", FakeEngine(), FakeReadiness(r1="is away"))
    found = await inference.get_capabilities(call())
    assert found.tier == "r1"
    assert [(v.variant, v.model, v.ready, v.problem, v.context_tokens) for v in found.variants] == [
        ("fp16", "r1", False, "is away", 2048),
        ("int8", "r1-int8", True, "", 2048),
    ]
    assert all(list(v.modalities) == [types_pb2.MODALITY_TEXT] for v in found.variants)
