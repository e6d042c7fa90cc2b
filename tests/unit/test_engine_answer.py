"""Would catch: a simulated answer whose bytes depend on how it was asked for, or that loses some at a takeover."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator_engine.answer import Answer, make_answer, split_prompt
from simulator_engine.directives import Directives
from simulator_engine.limits import Limits, LimitsError, read_limits


def answer_of(
    directives: Directives, prefix: str = "", images: int = 0, limits: Limits | None = None
) -> Answer:
    return make_answer(directives, prefix, images, limits or Limits())


def text_of(answer: Answer) -> str:
    return "".join(answer.tokens)


def test_the_default_text_is_known_and_not_only_ascii() -> None:
    answer = answer_of(Directives())
    assert text_of(answer) == "t0 t1 t2 t3 t4 量子 t6 t7. t8 t9 t10 🙂 t12 t13 t14 t15."
    assert (len(answer.tokens), answer.finish_reason) == (16, "stop")


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_shorter_answer_is_the_beginning_of_a_longer_one(one: int, other: int) -> None:
    short, long = sorted((one, other))
    assert answer_of(Directives(tokens=long)).tokens[:short] == answer_of(Directives(tokens=short)).tokens


@given(st.integers(1, 60), st.integers(0, 400), st.integers(0, 9))
def test_a_continuation_neither_repeats_nor_loses_a_character(
    tokens: int, cut: int, chunk_chars: int
) -> None:
    directives = Directives(tokens=tokens, chunk_chars=chunk_chars)
    whole = text_of(answer_of(directives))
    prefix = whole[:cut]
    assert prefix + text_of(answer_of(directives, prefix)) == whole


@given(st.text(), st.integers(1, 5))
def test_a_given_text_is_answered_exactly_in_pieces_of_the_asked_size(text: str, chunk_chars: int) -> None:
    pieces = answer_of(Directives(text=text, chunk_chars=chunk_chars)).tokens
    assert "".join(pieces) == text
    assert all(len(piece) == chunk_chars for piece in pieces[:-1])


@given(st.text())
def test_a_given_text_cut_at_words_is_still_the_same_text(text: str) -> None:
    assert text_of(answer_of(Directives(text=text))) == text


def test_a_prefix_without_the_reasoning_continues_the_part_after_it() -> None:
    directives = Directives(text="<think>hm</think>\n\nThe answer is 42")
    assert text_of(answer_of(directives, "The ans")) == "wer is 42"
    assert text_of(answer_of(directives, "<think>h")) == "m</think>\n\nThe answer is 42"


def test_max_tokens_cuts_and_says_so_but_not_at_the_answers_own_end() -> None:
    cut = answer_of(Directives(tokens=4), limits=Limits(max_tokens=3))
    assert (text_of(cut), cut.finish_reason) == ("t0 t1 t2", "length")
    whole = answer_of(Directives(tokens=3), limits=Limits(max_tokens=3))
    assert (text_of(whole), whole.finish_reason) == ("t0 t1 t2", "stop")


def test_a_stop_text_across_tokens_ends_the_answer_and_its_tokens_still_count() -> None:
    answer = answer_of(Directives(), limits=Limits(stop=("never", "2 t3")))
    assert (text_of(answer), answer.finish_reason) == ("t0 t1 t", "stop")
    assert len(answer.tokens) == 4


def test_max_tokens_before_a_stop_text_wins() -> None:
    answer = answer_of(Directives(), limits=Limits(max_tokens=2, stop=("t3",)))
    assert (text_of(answer), answer.finish_reason) == ("t0 t1", "length")


def test_images_are_counted_aloud() -> None:
    assert text_of(answer_of(Directives(tokens=1), images=2)) == "[2 images] t0"


def test_the_partial_answer_is_what_follows_the_last_generation_header() -> None:
    head = "<|im_start|>assistant\nold<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
    assert split_prompt(f"{head}<|im_start|>assistant\nt0 t1") == (head, "t0 t1")
    assert split_prompt("no template at all") == ("no template at all", "")


def test_limits_are_read_from_sampling_parameters_and_the_rest_is_ignored() -> None:
    assert read_limits('{"max_tokens": 3, "stop": ["a"], "top_k": 9}') == Limits(3, ("a",))
    assert read_limits("{}") == Limits()


@pytest.mark.parametrize("bad", ["{", "[]", '{"max_tokens": 0}', '{"max_tokens": "9"}', '{"stop": [""]}'])
def test_broken_sampling_parameters_are_refused(bad: str) -> None:
    with pytest.raises(LimitsError):
        read_limits(bad)
