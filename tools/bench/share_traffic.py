"""Traffic whose mix drifts: recorded questions with what the classifier finds in them and how two models answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tandem.calibration.in_process import shipped_classifier
from tandem.call import Call
from tandem.clock import now
from tandem.conversation_json import from_json
from tandem.v1 import classifier_pb2, types_pb2

QUESTIONS: Final = 1500
"""Most questions of each kind."""
CYCLE: Final = 5000
"""Requests of a day."""
BURST: Final = 1500
"""Requests of a burst."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """A recorded question."""

    signals: types_pb2.Signals
    r1_right: float
    pro_right: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the mix of kinds drifts.

    `mix` gives the weights of the kinds, shape (requests, kinds), from the requests' places in the whole, 0 to 1, shape
    (requests,), and from how many there are. `changes` are the places where it changes at once. `forced` is the part of
    requests of tenants without the strong tier, and of requests that name it.
    """

    name: str
    mix: Callable[[Array, int], Array]
    changes: tuple[float, ...] = ()
    equal: bool = False
    forced: tuple[float, float] = (0.0, 0.0)


def kinds(folder: Path) -> dict[str, list[Question]]:
    """Return the questions of each kind, through the classifier; order and choice are always the same."""
    rows = {
        "English exams": [
            (row["prompt"], row["weak"], row["strong"]) for row in _rows(folder / "routellm_mmlu.parquet")
        ],
        "mathematics": [
            (row["prompt"], row["weak"], row["strong"]) for row in _rows(folder / "routellm_gsm8k.parquet")
        ],
        "Chinese legal": [
            (
                f"{row['instruction']}\n{row['question']}",
                *(row[f"pred:{m}"] == row["gold"] for m in ("Chatglm3_6B", "gpt4")),
            )
            for row in _rows(folder / "lexeval_zh_38models.parquet")
        ],
    }
    return {name: asyncio.run(_classified(found)) for name, found in rows.items()}


def _rows(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - only where recorded answers are read

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    chosen = np.random.default_rng(1).permutation(len(rows))[:QUESTIONS]
    return [rows[place] for place in chosen]


async def _classified(rows: Sequence[tuple[str, Any, Any]]) -> list[Question]:
    classifier, questions = shipped_classifier(), []
    for text, weak, strong in rows:
        request = classifier_pb2.ClassifyRequest(messages=from_json([{"role": "user", "text": text}]))
        found = (await classifier.classify(request, Call("bench", now() + 60.0, now()))).signals
        questions.append(Question(found, float(weak), float(strong)))
    return questions


def _weights(*columns: Array) -> Array:
    return np.stack(columns, axis=1)


def _steady(place: Array, _: int) -> Array:
    return _weights(0.6 + 0 * place, 0.2 + 0 * place, 0.2 + 0 * place)


def _step(place: Array, _: int) -> Array:
    late = (place >= 0.5).astype(float)
    return _weights(0.9 - 0.8 * late, 0.05 + 0 * place, 0.05 + 0.8 * late)


def _slow(place: Array, _: int) -> Array:
    return _weights(0.9 - 0.8 * place, 0.05 + 0 * place, 0.05 + 0.8 * place)


def _day(place: Array, requests: int) -> Array:
    wave = np.sin(2 * np.pi * place * requests / CYCLE)
    return _weights(0.5 + 0.4 * wave, 0.1 + 0 * place, 0.4 - 0.4 * wave)


def _burst(place: Array, requests: int) -> Array:
    inside = ((place >= 0.5) & (place < 0.5 + BURST / requests)).astype(float)
    return _weights(0.8 * (1 - inside), 0.2 * (1 - inside), inside)


def scenarios(requests: int) -> list[Scenario]:
    """Return all of them."""
    return [
        Scenario("steady", _steady),
        Scenario("step", _step, changes=(0.5,)),
        Scenario("slow drift", _slow),
        Scenario("daily cycle", _day),
        Scenario("burst of Chinese legal", _burst, changes=(0.5, 0.5 + BURST / requests)),
        Scenario("all scores equal", _steady, equal=True),
        Scenario("a fifth is forced", _steady, forced=(0.15, 0.05)),
    ]


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a replay."""

    question: Question
    tenant: str
    tier: str
    """The tier that it names; empty: none."""


def draw(
    scenario: Scenario, pool: Mapping[str, Sequence[Question]], requests: int, seed: int
) -> list[Request]:
    """Return the requests of a scenario."""
    chance, place = np.random.default_rng(seed), np.arange(requests) / requests
    weights = np.cumsum(scenario.mix(place, requests), axis=1)
    kind = (chance.random(requests)[:, None] > weights[:, :-1]).sum(axis=1)
    groups, luck, fate = list(pool.values()), chance.random(requests), chance.random(requests)
    drawn = []
    for number in range(requests):
        group = groups[kind[number]]
        question = groups[0][0] if scenario.equal else group[int(luck[number] * len(group))]
        without, named = scenario.forced
        tenant = "without" if fate[number] < without else "anonymous"
        tier = "pro" if without <= fate[number] < without + named else ""
        drawn.append(Request(question, tenant, tier))
    return drawn
