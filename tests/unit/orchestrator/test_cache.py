"""Would catch: an answer for another tenant or question, a degraded or random one kept, the wrong one dropped."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
from tandem.errors import BackendUnavailable
from tandem.orchestrator.cache import LOCAL_SECONDS, AnswerCache
from tandem.orchestrator.policy import Cache
from tandem.simulation.virtual_time import run
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, image, question, user

Request = orchestrator_pb2.GenerateRequest

pytestmark = pytest.mark.virtual_time


def answer(text: str = "because", temperature: float = 0.3) -> types_pb2.Answer:
    sampling = types_pb2.Sampling(temperature=temperature)
    return types_pb2.Answer(
        request_id="one",
        text=text,
        reasoning="hm",
        finish_reason=types_pb2.FINISH_REASON_STOP,
        answered_by=types_pb2.Target(tier="r1", variant="fp16"),
        usage=types_pb2.Usage(input_tokens=1, output_tokens=2),
        cost_nano_usd=3,
        plan=types_pb2.Plan(attempts=[types_pb2.PlannedAttempt(sampling=sampling)]),
        attempts=[types_pb2.Attempt()],
        cache=types_pb2.CACHE_OUTCOME_MISS,
        confidence=0.5,
    )


def cache(entries: int = 10, revision: str = "1/1", shared: Level | None = None) -> AnswerCache:
    return AnswerCache(Cache(entries=entries, ttl_seconds=600), revision, shared)


class Level:
    """A shared level in memory."""

    def __init__(self) -> None:
        self.answers: dict[bytes, tuple[bytes, float]] = {}
        self.noted: dict[bytes, set[bytes]] = {}
        self.failure: Exception | None = None

    async def find(self, key: bytes, call: Call) -> tuple[bytes, float] | None:
        return self.answers.get(key)

    def keep(self, key: bytes, answer: bytes, seconds: float) -> None:
        self.answers[key] = (answer, seconds)

    def note(self, key: bytes, who: bytes, seconds: float) -> None:
        self.noted.setdefault(who, set()).add(key)

    async def forget(self, keys: set[bytes], who: bytes, call: Call) -> bool:
        if self.failure:
            raise self.failure
        found = [self.answers.pop(key, None) for key in keys | self.noted.get(who, set())]
        return any(found)


async def test_a_hit_carries_the_answer_and_no_work() -> None:
    kept = cache()
    kept.keep(b"k", answer(), call())
    assert kept.find(b"k", call()) == types_pb2.Answer(
        text="because",
        reasoning="hm",
        finish_reason=types_pb2.FINISH_REASON_STOP,
        answered_by=types_pb2.Target(tier="r1", variant="fp16"),
        cache=types_pb2.CACHE_OUTCOME_HIT,
        confidence=0.5,
        source_request_id="test",
    )


async def test_the_vote_is_kept() -> None:
    kept, fused = cache(), answer()
    fused.fusion.agreement = 0.75
    kept.keep(b"k", fused, call())
    found = kept.find(b"k", call())
    assert found is not None
    assert found.fusion.agreement == 0.75


async def test_what_is_found_may_be_changed_without_harm() -> None:
    kept, given_away = cache(), answer()
    kept.keep(b"k", given_away, call())
    given_away.text = "changed"
    first = kept.find(b"k", call())
    assert first is not None
    first.ClearField("text")
    second = kept.find(b"k", call())
    assert second is not None
    assert second.text == "because"


KEYED = [
    question("other"),
    Request(messages=[user("why"), user("?")]),
    Request(messages=[user("why?")], tier="r1"),
    Request(messages=[user("why?")], tier="r1", variant="int8"),
    Request(messages=[user("why?")], strategy=types_pb2.STRATEGY_ROUTE),
    Request(messages=[user("why?")], sampling=types_pb2.Sampling(temperature=0)),
    Request(messages=[user("why?")], sampling=types_pb2.Sampling(seed=1)),
    Request(messages=[user("why?")], sampling=types_pb2.Sampling(stop=["x"])),
    Request(messages=[user("why?"), image(b"a")]),
    Request(messages=[user("why?"), image(b"b")]),
]


def test_whatever_changes_an_answer_changes_its_key() -> None:
    keys = {cache().key(request, "tenant") for request in (question("why?"), *KEYED)}
    assert len(keys) == 1 + len(KEYED)
    assert None not in keys


def test_tenants_and_revisions_share_nothing() -> None:
    assert cache().key(question(), "a") != cache().key(question(), "b")
    assert cache(revision="1/2").key(question(), "a") != cache().key(question(), "a")
    assert cache(revision="1/1a").key(question(), "b") != cache().key(question(), "ab")


def test_equal_questions_have_equal_keys() -> None:
    assert cache().key(question(), "a") == cache().key(question(), "a")


def test_a_request_may_bypass_the_cache() -> None:
    assert cache().key(Request(messages=[user()], no_cache=True), "a") is None
    assert cache(entries=0).key(question(), "a") is None


@pytest.mark.parametrize(("temperature", "bypasses"), [(0.0, False), (0.5, False), (0.51, True), (2.0, True)])
def test_who_asks_for_variety_bypasses_the_cache(temperature: float, bypasses: bool) -> None:
    asked = Request(messages=[user()], sampling=types_pb2.Sampling(temperature=temperature))
    assert (cache().key(asked, "a") is None) is bypasses


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (0.5, True), (0.51, False), (2.0, False)])
async def test_what_was_drawn_at_a_high_temperature_is_not_kept(temperature: float, kept: bool) -> None:
    tried = cache()
    tried.keep(b"k", answer(temperature=temperature), call())
    assert (tried.find(b"k", call()) is not None) is kept


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.7])
async def test_the_limit_itself_is_kept(limit: float) -> None:
    tried = AnswerCache(Cache(entries=1, max_temperature=limit), "1")
    tried.keep(b"k", answer(temperature=limit), call())
    assert tried.find(b"k", call()) is not None


async def test_one_hot_voice_is_enough_not_to_keep() -> None:
    mixed = answer()
    mixed.plan.attempts.add(sampling=types_pb2.Sampling(temperature=0.9))
    tried = cache()
    tried.keep(b"k", mixed, call())
    assert tried.find(b"k", call()) is None


async def test_degraded_and_unfinished_answers_are_not_kept() -> None:
    degraded, cut, unknown = answer(), answer(), answer()
    degraded.degradations.add(reason=types_pb2.DEGRADATION_REASON_TIMEOUT)
    cut.finish_reason = types_pb2.FINISH_REASON_LENGTH
    unknown.finish_reason = types_pb2.FINISH_REASON_UNSPECIFIED
    tried = cache()
    for bad in (degraded, cut, unknown):
        tried.keep(b"k", bad, call())
        assert tried.find(b"k", call()) is None


_operations = st.lists(st.tuples(st.sampled_from(["keep", "find"]), st.integers(0, 5)), max_size=60)


@given(st.integers(1, 4), _operations)
def test_the_least_recently_used_goes_first(entries: int, operations: list[tuple[str, int]]) -> None:
    run(_use(entries, operations))


async def _use(entries: int, operations: list[tuple[str, int]]) -> None:
    tried, model = cache(entries), OrderedDict[bytes, str]()
    for number, (operation, name) in enumerate(operations):
        key = bytes([name])
        if operation == "keep":
            tried.keep(key, answer(str(number)), call())
            model[key] = str(number)
            model.move_to_end(key)
            while len(model) > entries:
                model.popitem(last=False)
        else:
            found = tried.find(key, call())
            assert (found.text if found else None) == model.get(key)
            if key in model:
                model.move_to_end(key)


# --- for how long


async def test_an_answer_is_kept_for_its_time() -> None:
    kept = cache()
    kept.keep(b"k", answer(), call())
    await asyncio.sleep(599)
    assert kept.find(b"k", call()) is not None
    await asyncio.sleep(1)
    assert kept.find(b"k", call()) is None


async def test_with_a_shared_level_memory_is_short() -> None:
    level = Level()
    kept = cache(shared=level)
    kept.keep(b"k", answer(), call())
    await asyncio.sleep(LOCAL_SECONDS)
    assert kept.find(b"k", call()) is None
    found = await kept.find_shared(b"k", call())
    assert found is not None
    assert (found.text, found.cache) == ("because", types_pb2.CACHE_OUTCOME_HIT)
    assert kept.find(b"k", call()) == found


async def test_memory_keeps_no_longer_than_the_shared_level() -> None:
    level = Level()
    one, other = cache(shared=level), cache(shared=level)
    one.keep(b"k", answer(), call())
    level.answers[b"k"] = (level.answers[b"k"][0], 5.0)
    await other.find_shared(b"k", call())
    await asyncio.sleep(5)
    assert other.find(b"k", call()) is None


async def test_without_a_shared_level_nothing_is_found_there() -> None:
    assert await cache().find_shared(b"k", call()) is None


# --- forgetting


async def test_forgetting_by_the_request_that_made_it_or_got_it() -> None:
    for name in ("maker", "reader"):
        kept = cache()
        kept.keep(b"k", answer(), call(request_id="maker"))
        kept.find(b"k", call(request_id="reader"))
        assert await kept.forget(name, call())
        assert kept.find(b"k", call()) is None
        assert not await kept.forget(name, call())


async def test_what_came_after_is_not_forgotten_by_an_old_name() -> None:
    kept = cache()
    kept.keep(b"k", answer(), call(request_id="old"))
    await kept.forget("old", call())
    kept.keep(b"k", answer(), call(request_id="new"))
    assert not await kept.forget("old", call())
    assert kept.find(b"k", call()) is not None


async def test_a_tenant_forgets_only_its_own() -> None:
    kept = cache()
    kept.keep(b"k", answer(), call(tenant="a"))
    assert not await kept.forget("test", call(tenant="b"))
    assert await kept.forget("test", call(tenant="a"))


async def test_one_name_for_many_answers_forgets_them_all() -> None:
    kept = cache()
    for key in (b"1", b"2"):
        kept.keep(key, answer(), call())
    assert await kept.forget("test", call())
    assert kept.find(b"1", call()) is kept.find(b"2", call()) is None


async def test_another_replica_forgets_what_is_in_the_shared_level() -> None:
    level = Level()
    one, other = cache(shared=level), cache(shared=level)
    one.keep(b"k", answer(), call(request_id="maker"))
    one.find(b"k", call(request_id="reader"))
    assert await other.forget("reader", call())
    assert level.answers == {}


async def test_a_shared_level_that_does_not_answer_is_told() -> None:
    level = Level()
    kept = cache(shared=level)
    kept.keep(b"k", answer(), call())
    level.failure = BackendUnavailable("away")
    with pytest.raises(BackendUnavailable):
        await kept.forget("test", call())
    assert kept.find(b"k", call()) is None
