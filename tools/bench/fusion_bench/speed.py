"""How long fusing takes, on one core."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Final

from fusion_bench.row import Row
from tandem.fusion.fuse import FusionCore
from tandem.v1 import fusion_pb2, types_pb2

WORDS: Final = 750
"""About a thousand tokens of English."""


def speed_rows() -> Iterator[Row]:
    """Give the medians, in milliseconds; high is the 99th percentile."""
    draw = random.Random(1)  # noqa: S311  # no secret
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(3000)]
    long = [" ".join(draw.choices(words, k=WORDS)) for _ in range(8)]
    chinese = ["".join(chr(draw.randint(0x4E00, 0x8000)) for _ in range(1000)) for _ in range(8)]
    yield _timed("8 short answers, ms", [f"The answer is {letter}." for letter in "ABCABCAB"], 500, 0.5)
    yield _timed("8 answers of 1,000 tokens, ms", long, 60, 20.0)
    yield _timed("8 Chinese answers of 1,000 characters, ms", chinese, 60, 20.0)
    yield _timed("8 answers of 1 MB, ms", ["answer is " * (2**20 // 10 - at) for at in range(8)], 3, None)


def _timed(name: str, texts: Sequence[str], count: int, bar: float | None) -> Row:
    target = types_pb2.Target(tier="r1", variant="bf16")
    request = fusion_pb2.FuseRequest(
        candidates=[fusion_pb2.Candidate(target=target, text=text) for text in texts]
    )
    core, times = FusionCore(), []
    for _ in range(count):
        started = time.perf_counter()
        core.decide(request)
        times.append(1000 * (time.perf_counter() - started))
    times.sort()
    value = times[count // 2]
    met = None if bar is None else value < bar
    return Row(name, value, times[0], times[int(0.99 * count)], met=met, bar=bar)
