"""Would catch a checker that passes wrong bytes, a late or untyped end, or a request that nobody answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fault_matrix.checker import Tally, byte_errors, is_late
from fault_matrix.outcome import End, Outcome, Seam
from fault_matrix.question import Patience, answer_text, ask, directive
from simulator_engine.answer import make_answer
from simulator_engine.directives import read_directives
from simulator_engine.limits import Limits
from tandem.v1 import types_pb2

STOP = types_pb2.FINISH_REASON_STOP
LENGTH = types_pb2.FINISH_REASON_LENGTH
QUESTION = ask(7, directive("pro", fault="hang"), deadline_seconds=2.0, tier="pro")
RIGHT = QUESTION.answer


def answered(text: str = RIGHT, **fields: object) -> Outcome:
    """Return an answer that came in time."""
    return replace(Outcome(End.ANSWERED, 0.3, text, STOP), **fields)  # type: ignore[arg-type]  # each is a field's


def tally(*outcomes: Outcome, patience: Patience = Patience.WAITS) -> Tally:
    """Judge outcomes of one question."""
    judged = Tally()
    for outcome in outcomes:
        judged.add(replace(QUESTION, patience=patience), outcome)
    return judged


@pytest.mark.parametrize("number", [0, 1, 319])
def test_the_right_answer_is_what_the_simulator_says(number: int) -> None:
    question = ask(number, directive("pro", fault="oom", at=3), deadline_seconds=2.0)

    assert (
        "".join(make_answer(read_directives(question.prompt, "r1"), "", 0, Limits()).tokens)
        == question.answer
    )
    directives = read_directives(question.prompt, "pro")
    assert (directives.fault, directives.at) == ("oom", 3)
    assert len(make_answer(directives, "", 0, Limits()).tokens) == 24


def test_no_two_questions_have_the_same_answer() -> None:
    assert len({answer_text(number) for number in range(400)}) == 400


def test_a_right_answer_is_right() -> None:
    good = tally(
        answered(), answered(degraded=True), answered(RIGHT[:20], finish_reason=LENGTH, degraded=True)
    )
    assert (good.sent, good.waited, good.in_time, good.degraded) == (3, 3, 3, 2)
    assert (good.errors, good.late, good.lost, good.byte_errors, good.words()) == (0, 0, 0, 0, [])


@pytest.mark.parametrize(
    "text",
    [
        RIGHT[:9] + RIGHT[10:],
        RIGHT[:10] + RIGHT[9:],
        RIGHT.replace("量", "重", 1),
        RIGHT + " more",
        answer_text(8),
        RIGHT[:-1],
        "",
    ],
    ids=["a byte missing", "a byte twice", "another", "too long", "another's answer", "too short", "nothing"],
)
def test_wrong_bytes_are_seen(text: str) -> None:
    assert list(byte_errors(QUESTION, answered(text)))
    assert tally(answered(text)).byte_errors == 1


def test_a_wrong_beginning_is_seen_whatever_the_end() -> None:
    for end in End:
        assert list(byte_errors(QUESTION, Outcome(end, text="Answer8", finish_reason=LENGTH, degraded=True)))


def test_an_answer_that_is_cut_short_has_text_and_says_so() -> None:
    assert list(byte_errors(QUESTION, answered(RIGHT[:9], finish_reason=LENGTH, degraded=False)))
    assert list(byte_errors(QUESTION, answered("", finish_reason=LENGTH, degraded=True)))
    assert list(byte_errors(QUESTION, answered(finish_reason=types_pb2.FINISH_REASON_UNSPECIFIED)))


def test_a_seam_at_another_byte_is_seen() -> None:
    assert not list(byte_errors(QUESTION, answered(seams=[Seam(12, 12)])))
    assert list(byte_errors(QUESTION, answered(seams=[Seam(12, 12), Seam(13, 12)])))


def test_an_end_after_the_deadline_is_late() -> None:
    for end in (End.ANSWERED, End.ERROR, End.LOST):
        assert not is_late(QUESTION, Outcome(end, 2.04))
        assert is_late(QUESTION, Outcome(end, 2.06))


def test_an_answer_after_the_deadline_is_not_in_time_though_not_late_yet() -> None:
    judged = tally(answered(seconds=2.01))
    assert (judged.in_time, judged.late) == (0, 0)


def test_the_clients_own_deadline_is_late_however_punctual() -> None:
    judged = tally(Outcome(End.OWN_DEADLINE, 1.9999))
    assert (judged.late, judged.lost, judged.in_time, judged.errors) == (1, 0, 0, 0)
    assert judged.words() == ["late: own deadline after 2.000 s,  (Question 7)"]


def test_an_end_without_a_type_is_lost_and_one_with_a_type_is_an_error() -> None:
    judged = tally(Outcome(End.LOST, 0.1), Outcome(), Outcome(End.ERROR, 0.1, words="OVERLOADED: full"))
    assert (judged.lost, judged.errors, judged.in_time) == (2, 1, 0)
    assert judged.words() == ["lost:  (Question 7)", "error: OVERLOADED: full (Question 7)"]


@pytest.mark.parametrize("patience", [Patience.LEAVES, Patience.NEVER_READS])
def test_nobody_owes_an_end_to_a_client_that_does_not_wait(patience: Patience) -> None:
    judged = tally(Outcome(End.LEFT, 5.0, RIGHT[:9]), answered(), patience=patience)
    assert (judged.sent, judged.waited, judged.in_time, judged.late, judged.lost) == (2, 0, 0, 0, 0)
    assert tally(Outcome(End.LEFT, 5.0, "wrong"), patience=patience).byte_errors == 1
