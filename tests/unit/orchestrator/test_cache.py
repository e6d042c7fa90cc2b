"""Would catch: an answer for another tenant or question, a degraded or random one kept, the wrong one dropped."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.cache import AnswerCache
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import image, question, user

Request = orchestrator_pb2.GenerateRequest


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


def cache(entries: int = 10, revision: str = "1/1") -> AnswerCache:
    return AnswerCache(entries, 0.5, revision)


def test_a_hit_carries_the_answer_and_no_work() -> None:
    kept = cache()
    kept.keep(b"k", answer())
    assert kept.find(b"k") == types_pb2.Answer(
        text="because",
        reasoning="hm",
        finish_reason=types_pb2.FINISH_REASON_STOP,
        answered_by=types_pb2.Target(tier="r1", variant="fp16"),
        cache=types_pb2.CACHE_OUTCOME_HIT,
        confidence=0.5,
    )


def test_the_vote_is_kept() -> None:
    kept, fused = cache(), answer()
    fused.fusion.agreement = 0.75
    kept.keep(b"k", fused)
    found = kept.find(b"k")
    assert found is not None
    assert found.fusion.agreement == 0.75


def test_what_is_found_may_be_changed_without_harm() -> None:
    kept, given_away = cache(), answer()
    kept.keep(b"k", given_away)
    given_away.text = "changed"
    first = kept.find(b"k")
    assert first is not None
    first.ClearField("text")
    second = kept.find(b"k")
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


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (0.5, True), (0.51, False), (2.0, False)])
def test_what_was_drawn_at_a_high_temperature_is_not_kept(temperature: float, kept: bool) -> None:
    tried = cache()
    tried.keep(b"k", answer(temperature=temperature))
    assert (tried.find(b"k") is not None) is kept


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.7])
def test_the_limit_itself_is_kept(limit: float) -> None:
    tried = AnswerCache(1, limit, "1")
    tried.keep(b"k", answer(temperature=limit))
    assert tried.find(b"k") is not None


def test_one_hot_voice_is_enough_not_to_keep() -> None:
    mixed = answer()
    mixed.plan.attempts.add(sampling=types_pb2.Sampling(temperature=0.9))
    tried = cache()
    tried.keep(b"k", mixed)
    assert tried.find(b"k") is None


def test_degraded_and_unfinished_answers_are_not_kept() -> None:
    degraded, cut, unknown = answer(), answer(), answer()
    degraded.degradations.add(reason=types_pb2.DEGRADATION_REASON_TIMEOUT)
    cut.finish_reason = types_pb2.FINISH_REASON_LENGTH
    unknown.finish_reason = types_pb2.FINISH_REASON_UNSPECIFIED
    tried = cache()
    for bad in (degraded, cut, unknown):
        tried.keep(b"k", bad)
        assert tried.find(b"k") is None


_operations = st.lists(st.tuples(st.sampled_from(["keep", "find"]), st.integers(0, 5)), max_size=60)


@given(st.integers(1, 4), _operations)
def test_the_least_recently_used_goes_first(entries: int, operations: list[tuple[str, int]]) -> None:
    tried, model = cache(entries), OrderedDict[bytes, str]()
    for number, (operation, name) in enumerate(operations):
        key = bytes([name])
        if operation == "keep":
            tried.keep(key, answer(str(number)))
            model[key] = str(number)
            model.move_to_end(key)
            while len(model) > entries:
                model.popitem(last=False)
        else:
            found = tried.find(key)
            assert (found.text if found else None) == model.get(key)
            if key in model:
                model.move_to_end(key)
