"""The rows of the product itself: how fast, how large, how soon the shipped artifact judges."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray

from routing_bench.row import Row
from tandem.classifier.artifact import load_artifact
from tandem.classifier.conversation import Conversation
from tandem.classifier.encoder import Encoder
from tandem.classifier.features import Extractor
from tandem.classifier.judge import Judge

SIZES: Final = (50, 500, 4000)
"""Tokens; about four characters each in English, one and a half in Chinese."""
ROUNDS: Final = 400
ENCODED_ROUNDS: Final = 100
LOADS: Final = 5
_ENGLISH: Final = (
    "A company leases 12 machines at $340 a month each, and repairs cost 15% of the lease in the first year. "
    "Explain why the effective cost differs from the nominal one, and compute what {} machines cost over {} months "
    "if the rate rises. "
)
_CHINESE: Final = (
    "某公司租赁{}台设备，每台每月租金为{}元，第一年的维修费用占租金的百分之十五。"
    "请说明实际成本与名义成本为何不同，并计算合同期内的总费用。"
)


def text_of(tokens: int, chinese: bool, seed: int) -> str:
    """Return a question of about so many tokens, with numbers of its own."""
    template, characters = (_CHINESE, 1.5) if chinese else (_ENGLISH, 4.0)
    wanted = int(tokens * characters)
    pieces: list[str] = []
    while sum(map(len, pieces)) < wanted:
        pieces.append(template.format(seed * 7 + len(pieces), seed + 11 * len(pieces)))
    return "".join(pieces)[:wanted]


def product(artifact: Path) -> list[Row]:
    """Return the rows of an artifact, measured on this machine and one thread."""
    before = psutil.Process().memory_info().rss
    judge, loads = Judge(load_artifact(artifact)), []
    for _ in range(LOADS):
        started = time.perf_counter()
        judge = Judge(load_artifact(artifact))
        loads.append((time.perf_counter() - started) * 1000)
    memory = (psutil.Process().memory_info().rss - before) / 2**20
    rows = [
        Row("artifact, MiB", size := artifact.stat().st_size / 2**20, size, size, None, 20, smaller=True),
        _timed("artifact load, ms", loads, 200, 50),
        Row("artifact memory, MiB", memory, memory, memory, smaller=True, timed=True),
    ]
    return [*rows, *_latencies(judge, ROUNDS)]


def encoded(artifact: Path, encoder: Encoder) -> list[Row]:
    """Return the latency of an artifact if it wanted an encoder; weights of 0 for its vector take as long."""
    plain = load_artifact(artifact)
    more = encoder.spec.dimensions

    def longer(numbers: NDArray[np.float32], value: float) -> NDArray[np.float32]:
        return np.concatenate((numbers, np.full((more, *numbers.shape[1:]), value, np.float32)))

    weights = replace(
        plain.weights,
        dense=longer(plain.weights.dense, 0),
        mean=longer(plain.weights.mean, 0),
        scale=longer(plain.weights.scale, 1),
        frequencies=longer(plain.weights.frequencies, 0),
    )
    header = plain.header.model_copy(update={"encoder": encoder.spec})
    extractor = Extractor(header.features, plain.terms, encoder)
    judge = Judge(replace(plain, header=header, weights=weights, extractor=extractor))
    return _latencies(judge, ENCODED_ROUNDS)


def _latencies(judge: Judge, rounds: int) -> list[Row]:
    return [
        row
        for tokens in SIZES
        for chinese in (False, True)
        for row in _latency(judge, tokens, chinese, rounds)
    ]


def _latency(judge: Judge, tokens: int, chinese: bool, rounds: int) -> list[Row]:
    asked = [
        Conversation(text, "", len(text))
        for text in (text_of(tokens, chinese, seed) for seed in range(rounds))
    ]
    for conversation in asked[:20]:
        judge.judge(conversation)
    gc.collect()
    taken = []
    for conversation in asked:
        started = time.perf_counter()
        judge.judge(conversation)
        taken.append((time.perf_counter() - started) * 1000)
    name = f"{tokens} tokens, {'zh' if chinese else 'en'}"
    barred = tokens == 500
    return [
        _timed(f"latency p50, ms, {name}", taken, 1.0 if barred else None, 50),
        _timed(f"latency p99, ms, {name}", taken, 3.0 if barred else None, 99),
        Row(f"per second, {name}", rate := 1000 / float(np.mean(taken)), rate, rate, timed=True),
    ]


def _timed(name: str, taken: list[float], bar: float | None, part: int) -> Row:
    draw = np.random.default_rng(0)
    again = [np.percentile(draw.choice(taken, len(taken)), part) for _ in range(200)]
    low, high = np.percentile(again, (2.5, 97.5))
    value = float(np.percentile(taken, part))
    return Row(name, value, float(low), float(high), None, bar, smaller=True, timed=True)
