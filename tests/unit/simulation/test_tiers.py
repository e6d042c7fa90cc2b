"""Would catch simulated engines that are kinder or harder than they claim, or that lose count of their tokens."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tandem.clock import now
from tandem.errors import BackendUnavailable, DeadlineExceeded, OutOfMemory, TandemError
from tandem.simulation.fates import Fates, Mishaps
from tandem.simulation.machine import CALM, FULL, SLOW, Weather
from tandem.simulation.tiers import WORD, Luck, Piece, SimulatedTier
from tandem.simulation.traffic import Traffic
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.calls import call
from tests.unit.simulation.worlds import CATALOGUE

pytestmark = pytest.mark.virtual_time
PLACES = 8
TOKENS = 100
TTFT, TPOT = 0.25, 0.024
ALONE = 1.0 + (FULL - 1.0) / PLACES
"""Slowness of the only attempt."""


class SteadyFates(Fates):
    """Everything takes as long as it usually does."""

    def __init__(self, stall: float = 0.0, *, breaks: bool = False) -> None:
        self._ttft, self._tpot, self._mishap = [1.0] * PLACES * 9, [1.0] * PLACES * 9, [0.5] * PLACES * 9
        self._stall, self._breaks = [stall] * PLACES * 9, [breaks] * PLACES * 9


def pro(weather: Weather = CALM, fates: Fates | None = None) -> SimulatedTier:
    """Return a tier for answers of 100 tokens to empty prompts."""
    many = PLACES * 9
    traffic = Traffic([0.0] * many, [1.0] * many, [0] * many, [TOKENS] * many, [1.0] * many, [0.0] * many)
    return SimulatedTier(
        "pro", CATALOGUE.tier("pro"), traffic, Luck({"fp16": fates or SteadyFates()}, weather)
    )


async def pieces(
    tier: SimulatedTier, number: int = 0, seconds: float = 60.0, prefix: str = ""
) -> list[Piece]:
    """Ask a question and return what comes."""
    request = inference_pb2.InferRequest(
        variant="fp16", continuation_prefix=prefix, sampling=types_pb2.Sampling(max_tokens=512)
    )
    return [piece async for piece in tier.stream_infer(request, call(seconds, request_id=str(number)))]


async def fails(tier: SimulatedTier, error: type[TandemError], when: float, seconds: float = 60.0) -> None:
    """Ask a question in vain, and check the error and when it comes."""
    with pytest.raises(error):
        await pieces(tier, seconds=seconds)
    assert now() == pytest.approx(when)


async def test_an_attempt_alone_takes_what_the_catalogue_says() -> None:
    answer = await pieces(pro())
    assert sum(piece.output_tokens for piece in answer) == TOKENS
    assert answer[-1].finished.usage.output_tokens == TOKENS
    assert now() == pytest.approx(ALONE * (TTFT + (TOKENS - 1) * TPOT))


async def test_full_places_slow_everybody_down() -> None:
    tier = pro()
    await asyncio.gather(*(pieces(tier, number) for number in range(PLACES)))
    assert now() == pytest.approx(FULL * (TTFT + (TOKENS - 1) * TPOT), rel=0.1)


async def test_who_finds_no_place_waits_for_one() -> None:
    tier, done = pro(), list[int]()

    async def ask(number: int) -> None:
        await pieces(tier, number)
        done.append(number)

    await asyncio.gather(*(ask(number) for number in range(3 * PLACES)))
    assert [number // PLACES for number in done] == [0] * PLACES + [1] * PLACES + [2] * PLACES
    assert (tier.in_flight, tier.attempts) == (0, 3 * PLACES)


async def test_who_waits_longer_than_its_deadline_is_told() -> None:
    tier = pro()
    others = [asyncio.create_task(pieces(tier, number)) for number in range(PLACES)]
    await asyncio.sleep(0)
    await fails(tier, DeadlineExceeded, 0.5, seconds=0.5)
    await asyncio.gather(*others)
    assert tier.in_flight == 0


async def test_what_was_shown_is_not_made_again() -> None:
    answer = await pieces(pro(), prefix=WORD * 60)
    assert answer[-1].finished.usage.output_tokens == 40
    assert answer[-1].finished.finish_reason == types_pb2.FINISH_REASON_STOP


async def test_a_slow_episode() -> None:
    await pieces(pro(Weather(slow=[(0.0, 1000.0)])))
    assert now() == pytest.approx(SLOW * ALONE * (TTFT + (TOKENS - 1) * TPOT))


async def test_an_outage_breaks_off_what_is_under_way() -> None:
    tier = pro(Weather(outages=[(1.0, 5.0)]))
    await fails(tier, BackendUnavailable, 1.0)
    expected = 1 + int((1.0 - ALONE * TTFT) / (ALONE * TPOT))
    assert tier.tokens_made == tier.made("0", 0) == expected
    await fails(tier, BackendUnavailable, 1.0)


async def test_a_hang_is_silent_until_the_engine_is_started_anew() -> None:
    tier = pro(Weather(hangs=[(1.0, 5.0)]))
    await fails(tier, BackendUnavailable, 5.0)
    assert tier.tokens_made == 1 + int((1.0 - ALONE * TTFT) / (ALONE * TPOT))


async def test_a_hang_does_not_outlive_the_deadline() -> None:
    await fails(pro(Weather(hangs=[(0.0, 50.0)])), DeadlineExceeded, 2.0, seconds=2.0)


async def test_short_memory_suffices_for_a_part_of_the_places() -> None:
    tier = pro(Weather(shortages=[(0.0, 100.0)]))
    results = await asyncio.gather(
        *(pieces(tier, number) for number in range(PLACES)), return_exceptions=True
    )
    assert [type(result) for result in results] == [list] * 2 + [OutOfMemory] * 6


async def test_a_stall_takes_its_time_once() -> None:
    await pieces(pro(fates=SteadyFates(stall=3.0)))
    assert now() == pytest.approx(3.0 + ALONE * (TTFT + (TOKENS - 1) * TPOT))


async def test_a_stream_breaks_off_after_a_part_of_its_tokens() -> None:
    tier = pro(fates=SteadyFates(breaks=True))
    with pytest.raises(BackendUnavailable):
        await pieces(tier)
    assert TOKENS / 2 <= tier.tokens_made < TOKENS


async def test_a_cut_attempt_tells_what_it_made_and_what_was_not_sent() -> None:
    tier = pro()
    cut_after = ALONE * (TTFT + 30.5 * TPOT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(cut_after):
            await pieces(tier)
    request = inference_pb2.SettleUsageRequest(variant="fp16", attempt=0)
    settled = await tier.settle_usage(request, call(request_id="0"))
    assert (settled.settled, settled.usage.output_tokens) == (True, 31)
    assert not (await tier.settle_usage(request, call(request_id="1"))).settled
    assert tier.in_flight == 0


def test_mishaps_are_as_rare_as_they_are_said_to_be() -> None:
    fates = Fates(20_000, Mishaps(stalls=0.1, breaks=0.05), np.random.default_rng(1))
    drawn = [fates.of(number) for number in range(20_000)]
    assert sum(fate.stall_seconds > 0.0 for fate in drawn) == pytest.approx(2000, rel=0.1)
    assert sum(fate.breaks for fate in drawn) == pytest.approx(1000, rel=0.15)
    assert sorted(fate.ttft_factor for fate in drawn)[10_000] == pytest.approx(1.0, rel=0.05)
