"""Would catch an answer that a terminal shows without saying that it was revised, or a gate that is not told."""

from __future__ import annotations

import io

import pytest

from tandem.cli.report import Screen, gate_words, reason, show_answer
from tandem.v1 import orchestrator_pb2, types_pb2

Event = orchestrator_pb2.StreamGenerateResponse
PRO = types_pb2.Target(tier="pro", variant="fp16")
REVISION = orchestrator_pb2.Revision(text="right", answered_by=PRO, reasoning="so")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *events: Event) -> str:
    screen = Screen(stream)
    for event in events:
        screen.show(event)
    screen.end()
    return stream.getvalue()


def test_a_terminal_says_who_revised_the_answer() -> None:
    said = shown(
        Terminal(),
        Event(reasoning=orchestrator_pb2.ReasoningDelta(delta="hm")),
        Event(text=orchestrator_pb2.TextDelta(delta="wrong")),
        Event(revision=REVISION),
    )
    assert said == ("\x1b[2mhm\x1b[0m\n\nwrong\n\n\x1b[2m— revised by pro/fp16 —\x1b[0m\nright\n")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            types_pb2.GateVerdict(probability=0.25, threshold=0.5, confidence=0.4, escalated=True),
            "the draft suffices: 0.25 < 0.50 (confidence 0.40)",
        ),
        (
            types_pb2.GateVerdict(probability=0.75, threshold=0.5, r1_suffices=0.9, agreement=1.0),
            "the draft suffices: 0.75 ≥ 0.50 (r1 suffices 0.90, agreement 1.00)",
        ),
        (
            types_pb2.GateVerdict(probability=0.33, threshold=0.5, escalated=True),
            "the draft suffices: 0.33 < 0.50",
        ),
    ],
)
def test_a_gate_in_words(verdict: types_pb2.GateVerdict, words: str) -> None:
    assert gate_words(verdict) == words


def test_a_rule_is_told_beside_what_was_decided_under_it() -> None:
    answer = types_pb2.Answer(plan=types_pb2.Plan(reasons=["r1 suffices", "harder: long", "more"]))
    assert reason(answer) == "r1 suffices"
    answer.plan.reasons.insert(0, "rule clinic")
    answer.plan.rule = "clinic"
    assert reason(answer) == "rule clinic; r1 suffices"


def test_a_review_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_answer(types_pb2.Answer())
    assert "review" not in capsys.readouterr().err
    pending = types_pb2.REVIEW_STATUS_PENDING_HUMAN_REVIEW
    show_answer(types_pb2.Answer(review=types_pb2.Review(id="c0ffee", status=pending)))
    assert "c0ffee: pending human review" in capsys.readouterr().err
