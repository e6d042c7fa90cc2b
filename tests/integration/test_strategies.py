"""Would catch a wrong choice of tier, a vote that drops voices or dissent, a cache that leaks, or a plan that lies."""

from __future__ import annotations

import time

import pytest

from tandem.client import Client, Request, user
from tandem.errors import Code
from tandem.v1 import types_pb2
from tests.engine_books import EngineBooks
from tests.integration.asking import PRO, R1, R1_INT8, default_text, joined, kinds, question, sim
from tests.system import Tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

HARD = (
    "Prove that there are infinitely many primes p such that p + 2 has at most two prime factors, or explain step by "
    "step, with every lemma, why the sieve of Eratosthenes alone cannot show it. Derive the asymptotic density."
)
COLD = types_pb2.Sampling(temperature=0.2)


@pytest.mark.parametrize("prompt", ["What is the capital of France?", HARD, "解释量子计算的基本原理"])
async def test_route_follows_the_probability_that_r1_suffices(client: Client, prompt: str) -> None:
    answer = await client.ask(f"{prompt} {sim(tokens=3)}", no_cache=True, deadline_seconds=5)

    suffices = answer.signals.r1_suffices.value >= 0.5
    assert answer.plan.strategy == types_pb2.STRATEGY_ROUTE
    assert answer.answered_by == (R1 if suffices else PRO)
    assert answer.plan.attempts[0].target == answer.answered_by
    assert f"{answer.signals.r1_suffices.value:.2f}" in answer.plan.reasons[0]


async def test_easy_goes_to_r1_and_hard_goes_to_pro(client: Client) -> None:
    easy = await client.explain("What is the capital of France?", deadline_seconds=5)
    hard = await client.explain(HARD, deadline_seconds=5)

    assert easy.plan.attempts[0].target == R1
    assert hard.plan.attempts[0].target == PRO


async def test_a_tenant_without_pro_gets_r1_and_is_told(system: Tandem) -> None:
    async with Client(system.address, tenant="free-plan") as client:
        answer = await client.ask(f"{HARD} {sim(tokens=3)}", no_cache=True, deadline_seconds=5)

    assert answer.answered_by == R1
    (degradation,) = answer.degradations
    assert degradation.reason == types_pb2.DEGRADATION_REASON_NOT_ENTITLED
    assert (degradation.from_target, degradation.to_target) == (PRO, R1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_ensemble_votes_and_keeps_dissent(client: Client, streamed: bool) -> None:
    prompt = (
        f"Which one, A, B or C? {sim('r1', text='The answer is B.')} {sim('r1-int8', text='(B)')} "
        f"{sim('pro', text='Answer: C')}"
    )

    options = {"strategy": types_pb2.STRATEGY_ENSEMBLE, "no_cache": True, "deadline_seconds": 5}
    if streamed:
        stream = client.stream(prompt, **options)  # type: ignore[arg-type]  # options of mixed types
        events = [event async for event in stream]
        assert kinds(events) == ["started", "text", "finished"]
        answer = stream.answer
    else:
        answer = await client.ask(prompt, **options)  # type: ignore[arg-type]  # options of mixed types

    # Equal reliability and confidence: two voices outweigh one.
    fusion = answer.fusion
    assert [(ballot.target, ballot.normalised) for ballot in fusion.ballots] == [
        (R1, "B"),
        (R1_INT8, "B"),
        (PRO, "C"),
    ]
    assert fusion.agreement == pytest.approx(2 / 3, abs=0.01)
    assert fusion.winner in (0, 1)
    assert answer.text == ("The answer is B.", "(B)")[fusion.winner]
    assert answer.answered_by == (R1, R1_INT8)[fusion.winner]
    (dissent,) = fusion.dissent
    assert (dissent.normalised, dissent.text, list(dissent.targets)) == ("C", "Answer: C", [PRO])
    assert [attempt.purpose for attempt in answer.attempts] == [types_pb2.ATTEMPT_PURPOSE_VOTE] * 3
    assert answer.usage.output_tokens == sum(attempt.usage.output_tokens for attempt in answer.attempts)
    assert answer.cost_nano_usd == sum(attempt.cost_nano_usd for attempt in answer.attempts)
    assert not answer.degradations


async def test_the_first_voice_of_an_ensemble_streams_and_is_revised(client: Client) -> None:
    slow = sim("pro", text="Answer: C", chunk_chars=1, tpot_ms=500)
    prompt = f"Which one? {sim('r1', text='The answer is B.')} {sim('r1-int8', text='C')} {slow}"
    started = time.monotonic()
    stream = client.stream(prompt, strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True, deadline_seconds=20)
    events, first_text = [], 0.0
    async for event in stream:
        events.append(event)
        if event.HasField("text") and not first_text:
            first_text = time.monotonic() - started

    assert first_text < 2.5  # the slowest voice takes 4 s
    assert kinds(events) == ["started", "text", "revision", "finished"]
    assert joined(events) == "The answer is B."
    assert stream.answer.text in {"C", "Answer: C"}
    assert stream.answer.answered_by in (R1_INT8, PRO)


async def test_without_revisions_an_ensemble_is_shown_after_the_vote(client: Client) -> None:
    prompt = (
        f"Which one? {sim('r1', text='The answer is B.')} {sim('r1-int8', text='C')} {sim('pro', text='C')}"
    )

    stream = client.stream(
        prompt,
        strategy=types_pb2.STRATEGY_ENSEMBLE,
        no_cache=True,
        no_revisions=True,
        deadline_seconds=5,
    )

    assert kinds([event async for event in stream]) == ["started", "text", "finished"]
    assert stream.answer.text == "C"


@pytest.mark.parametrize("fault", ["error", "oom"])
async def test_a_missing_voice_is_stated_and_the_others_answer(client: Client, fault: str) -> None:
    prompt = f"{sim(text='B')} {sim('r1-int8', fault=fault)}"

    answer = await client.ask(prompt, strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True, deadline_seconds=5)

    (degradation,) = answer.degradations
    assert answer.text == "B"
    assert [ballot.target for ballot in answer.fusion.ballots] == [R1, PRO]
    assert degradation.reason == types_pb2.DEGRADATION_REASON_VOTE_MISSING
    assert degradation.from_target == R1_INT8
    assert len(answer.attempts) == 3


async def test_a_voice_that_hangs_does_not_cost_the_answer(client: Client) -> None:
    prompt = f"{sim(text='B')} {sim('r1-int8', fault='hang')}"
    started = time.monotonic()

    answer = await client.ask(
        prompt, strategy=types_pb2.STRATEGY_ENSEMBLE, no_cache=True, deadline_seconds=4.0
    )

    assert time.monotonic() - started < 4.0
    assert answer.text == "B"
    assert answer.degradations[0].reason == types_pb2.DEGRADATION_REASON_VOTE_MISSING
    assert answer.degradations[0].from_target == R1_INT8


async def test_explain_makes_the_same_plan_and_runs_nothing(client: Client, books: EngineBooks) -> None:
    before = await books.settled("requests")

    explained = await client.explain(f"{HARD} {sim(tokens=3)}", deadline_seconds=10)
    assert await books.settled("requests") == before
    answer = await client.ask(f"{HARD} {sim(tokens=3)}", no_cache=True, deadline_seconds=10)

    assert explained.signals == answer.signals
    assert explained.plan.reasons == answer.plan.reasons
    assert explained.plan.fallbacks == answer.plan.fallbacks
    assert explained.plan.attempts[0].target == answer.plan.attempts[0].target
    assert explained.plan.attempts[0].sampling == answer.plan.attempts[0].sampling


async def test_the_second_identical_question_is_answered_from_the_cache(
    client: Client, books: EngineBooks
) -> None:
    prompt = f"A question for the cache. {sim(text='<think>Hm.</think>Yes, 量子.')}"
    first = await client.ask(prompt, tier="r1", sampling=COLD, deadline_seconds=5)
    before = await books.settled("requests")

    second = await client.ask(prompt, tier="r1", sampling=COLD, request_id="second", deadline_seconds=5)
    stream = client.stream(prompt, tier="r1", sampling=COLD, deadline_seconds=5)
    events = [event async for event in stream]

    assert (first.cache, second.cache) == (types_pb2.CACHE_OUTCOME_MISS, types_pb2.CACHE_OUTCOME_HIT)
    assert (second.text, second.reasoning) == (first.text, first.reasoning) == ("Yes, 量子.", "Hm.")
    assert (second.request_id, second.answered_by) == ("second", R1)
    assert (second.usage.output_tokens, second.cost_nano_usd, len(second.attempts)) == (0, 0, 0)
    assert kinds(events) == ["started", "reasoning", "text", "finished"]
    assert (joined(events, "reasoning"), joined(events)) == ("Hm.", "Yes, 量子.")
    assert stream.answer.cache == types_pb2.CACHE_OUTCOME_HIT
    assert await books.settled("requests") == before


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"no_cache": True}, types_pb2.CACHE_OUTCOME_BYPASSED),
        ({"tier": "pro"}, types_pb2.CACHE_OUTCOME_MISS),
        ({"variant": "int8"}, types_pb2.CACHE_OUTCOME_MISS),
        ({"sampling": types_pb2.Sampling(temperature=0.2, seed=1)}, types_pb2.CACHE_OUTCOME_MISS),
        ({"tenant": "other"}, types_pb2.CACHE_OUTCOME_MISS),
    ],
)
async def test_what_changes_the_answer_misses_the_cache(
    system: Tandem, change: dict[str, object], outcome: int
) -> None:
    prompt = f"A question that is kept. {sorted(change)} {sim(tokens=3)}"
    same = {"tier": "r1", "sampling": COLD, "deadline_seconds": 5}

    async with Client(system.address, tenant="one") as client:
        await client.ask(prompt, **same)  # type: ignore[arg-type]  # options of mixed types
        again = await client.ask(prompt, **same)  # type: ignore[arg-type]  # options of mixed types
    fields = {key: value for key, value in change.items() if key != "tenant"}
    async with Client(system.address, tenant=str(change.get("tenant", "one"))) as client:
        changed = await client.ask(prompt, **{**same, **fields})  # type: ignore[arg-type]  # options of mixed types

    assert again.cache == types_pb2.CACHE_OUTCOME_HIT
    assert changed.cache == outcome


@pytest.mark.parametrize(
    ("prompt", "sampling", "outcome"),
    [
        (sim(tokens=4), types_pb2.Sampling(temperature=0.9), types_pb2.CACHE_OUTCOME_BYPASSED),
        (sim(tokens=4), types_pb2.Sampling(temperature=0.2, max_tokens=2), types_pb2.CACHE_OUTCOME_MISS),
        (f"{sim(tokens=4)} {sim('r1', fault='oom')}", COLD, types_pb2.CACHE_OUTCOME_MISS),
    ],
    ids=["drawn too freely", "cut off", "degraded"],
)
async def test_an_answer_that_may_not_be_given_again_is_not_kept(
    client: Client, prompt: str, sampling: types_pb2.Sampling, outcome: int
) -> None:
    for _ in range(2):
        answer = await client.ask(prompt, tier="r1", sampling=sampling, deadline_seconds=5)
        assert answer.cache == outcome


async def test_a_batch_answers_every_item_alone(client: Client) -> None:
    requests = [
        question(sim(tokens=5, ttft_ms=400), tier="r1"),
        question(sim(tokens=6), tier="no-such-tier"),
        question(sim(tokens=7), tier="pro"),
        Request(),
        question(sim(fault="error"), tier="r1"),
        question(f"{sim(tokens=8)} {sim('pro', fault='oom')}", tier="pro"),
    ]

    results = [result async for result in client.batch(requests, deadline_seconds=10)]

    by_index = {result.index: result for result in results}
    assert sorted(by_index) == list(range(6))
    assert len(results) == 6
    assert results[-1].index == 0  # the slow one comes last
    texts = {index: result.answer.text for index, result in by_index.items() if result.HasField("answer")}
    assert texts == {0: default_text(5), 2: default_text(7), 5: default_text(8)}
    errors = {
        index: (result.error.code, result.error.reason)
        for index, result in by_index.items()
        if result.HasField("error")
    }
    assert errors == {
        1: (Code.NOT_FOUND, "UNKNOWN_TIER"),
        3: (Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
        4: (Code.INTERNAL, "BACKEND_ERROR"),
    }
    assert "messages" in by_index[3].error.message
    assert by_index[5].answer.answered_by == R1_INT8


async def test_a_long_batch_is_answered_whole(client: Client) -> None:
    requests = [question(sim(text=f"<{number}>", ttft_ms=5), tier="r1") for number in range(150)]

    texts = {result.index: result.answer.text async for result in client.batch(requests, deadline_seconds=30)}

    assert texts == {number: f"<{number}>" for number in range(150)}


async def test_pictures_go_to_the_tier_that_reads_them(client: Client) -> None:
    picture = types_pb2.Part(image=types_pb2.Image(data=b"\x89PNG", media_type="image/png"))
    turn = types_pb2.Message(role=types_pb2.ROLE_USER, parts=[*user(sim(tokens=2)).parts, picture, picture])

    answer = await client.ask([turn], no_cache=True, deadline_seconds=5)

    assert answer.answered_by == PRO
    assert answer.text == f"[2 images] {default_text(2)}"
    assert list(answer.signals.modalities) == [types_pb2.MODALITY_TEXT, types_pb2.MODALITY_IMAGE]
