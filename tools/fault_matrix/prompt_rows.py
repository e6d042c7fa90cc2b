"""Faults that words in the prompts bring about, and loads: they need nothing but a deployment with the simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fault_matrix.question import Patience, Question, answer_text, ask, directive
from fault_matrix.row import Row
from tandem.v1 import types_pb2

DEADLINE_SECONDS: Final = 2.0
HURRIED_SECONDS: Final = 0.6
"""So little time that the fallback is limited by what is left of it, before a tier counts as hung."""
MIDST: Final = 10
"""Tokens that an answer has when it breaks off."""
GARBAGE: Final = ("utf8", "dtype", "shape")
TIERS: Final = ("r1", "pro", "")
BURST: Final = 400
"""Ten times what the tiers of the simulator's catalogue take at a time: 32 and 8."""
BURST_SECONDS: Final = 15.0
CRASH_EVERY: Final = 100
DEAF: Final = 8
"""Clients that do not read."""
DEAF_SECONDS: Final = 4.0
DEAF_CHARACTERS: Final = 900_000
"""Many times what flow control lets into the network."""
LONG: Final = 60
"""Tokens of an answer that lasts until its client has left."""


def healthy(number: int) -> Question:
    """Return a question for each tier in turn, and one that is routed."""
    return ask(number, deadline_seconds=DEADLINE_SECONDS, tier=TIERS[number // 2 % 3])


def _sick(name: str, tier: str, what: str, **settings: object) -> Row:
    """Return a row in which one tier has the same fault at every question, and every question asks for this tier."""

    def put(number: int) -> Question:
        return ask(number, directive(tier, **settings), deadline_seconds=DEADLINE_SECONDS, tier=tier)

    return Row(name, what, put)


def _hurried(number: int) -> Question:
    return ask(number, directive("pro", fault="hang"), deadline_seconds=HURRIED_SECONDS, tier="pro", tokens=8)


def _sick_burst(number: int) -> Question:
    return ask(
        number, directive("pro", fault="hang"), deadline_seconds=BURST_SECONDS, tier=TIERS[number // 2 % 3]
    )


def _sick_ensemble(number: int) -> Question:
    question = ask(number, directive("pro", fault="hang"), deadline_seconds=DEADLINE_SECONDS, tokens=12)
    return replace(question, strategy=types_pb2.STRATEGY_ENSEMBLE)


def _garbage(number: int) -> Question:
    fault = directive("pro", fault="garbage", garbage=GARBAGE[number % 3], at=MIDST * (number // 2 % 2))
    return ask(number, fault, deadline_seconds=DEADLINE_SECONDS, tier="pro")


def _crash(number: int) -> Question:
    faults = [directive("pro", fault="crash", at=MIDST)] if number % CRASH_EVERY == CRASH_EVERY // 4 else []
    return ask(number, *faults, deadline_seconds=DEADLINE_SECONDS, tier="pro")


def _hopeless(number: int) -> Question:
    return ask(
        number, directive(fault="hang"), deadline_seconds=DEADLINE_SECONDS, tier=TIERS[number // 2 % 3]
    )


def _burst(number: int) -> Question:
    return replace(healthy(number), deadline_seconds=BURST_SECONDS)


def _leaving(number: int) -> Question:
    question = ask(number, deadline_seconds=DEADLINE_SECONDS, tier=TIERS[number // 2 % 3], tokens=LONG)
    return replace(question, patience=Patience.LEAVES) if number // 2 % 2 else question


def _deaf(number: int) -> Question:
    if number >= DEAF:
        return healthy(number)
    text = answer_text(number) + "x" * DEAF_CHARACTERS
    prompt = f"Question {number}? {directive(text=text, chunk_chars=4500, tpot_ms=15)}"
    return Question(prompt, text, DEAF_SECONDS, stream=True, tier="r1", patience=Patience.NEVER_READS)


PROMPT_ROWS: Final = (
    Row("healthy", "nothing is wrong", healthy),
    _sick("hang-pro", "pro", "Pro never gives a first token", fault="hang"),
    Row("hurry-pro", "Pro hangs, and clients grant little time", _hurried),
    _sick("hang-r1", "r1", "R1 never gives a first token", fault="hang"),
    _sick("stall-pro", "pro", "Pro falls silent in the midst of every answer", fault="stall", at=MIDST),
    _sick(
        "slow-pro", "pro", "Pro takes twenty times as long for a token from the second on", fault="slow", at=2
    ),
    _sick("oom-pro", "pro", "Pro is out of memory before the first token", fault="oom"),
    _sick("oom-r1", "r1", "R1 is out of memory before the first token", fault="oom"),
    _sick(
        "oom-midst-pro", "pro", "Pro runs out of memory in the midst of every answer", fault="oom", at=MIDST
    ),
    Row("garbage-pro", "Pro sends tensors that cannot be read, at once or in the midst", _garbage),
    Row("crash-pro", "one question in a hundred ends the process of Pro's model", _crash),
    Row("hang-both", "no tier ever gives a token", _hopeless, healthy_tier=False),
    Row("burst", "ten times the capacity at once", _burst, at_once=BURST, share=1.25),
    Row("burst-hang-pro", "the same while Pro hangs", _sick_burst, at_once=BURST, share=1.25),
    Row(
        "ensemble-hang-pro",
        "every question asks an ensemble in which Pro never gives a token",
        _sick_ensemble,
        at_once=8,
    ),
    Row("leaving", "half of the clients go away in the midst of their answers", _leaving),
    Row("deaf", "eight clients do not read their long answers", _deaf, at_once=16 + DEAF),
)
