"""Lets a contender answer all requests of a world, on virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from tandem.call import Call
from tandem.clock import now
from tandem.errors import TandemError
from tandem.simulation import virtual_time
from tandem.simulation.contenders import Contender, Contest, Questioned
from tandem.simulation.outcomes import Outcome, Reply, Tally, Work
from tandem.simulation.world import World

PATIENCE_SECONDS: Final = 600.0
"""Time after the last arrival in which whatever has not ended by then is lost."""
ON_TIME: Final = 1e-6
"""Seconds by which sums of times may differ."""
_LOG: Final = logging.getLogger(__name__)


def simulate(world: World, contest: Contest) -> Outcome:
    """Return what becomes of the requests of a world."""
    return virtual_time.run(_simulate(world, contest))


async def _simulate(world: World, contest: Contest) -> Outcome:
    tiers, traffic = world.tiers(), world.traffic
    tally, contender = Tally(strong="pro"), contest.enter(world, tiers)
    await ask_all(world, contender, tally)
    work = Work(
        attempts=sum(tier.attempts for tier in tiers.values()),
        tokens_made=sum(tier.tokens_made for tier in tiers.values()),
        tokens_booked=await contender.tokens_booked(),
    )
    return tally.outcome(len(traffic), traffic.seconds, work)


async def ask_all(world: Questioned, contender: Contender, tally: Tally) -> None:
    """Ask a contender all questions of a world when they come, and wait until all have ended."""
    under_way: set[asyncio.Task[None]] = set()
    for number, arrival in enumerate(world.traffic.arrivals):
        await asyncio.sleep(arrival - now())
        call = Call(str(number), now() + world.traffic.deadlines[number], now())
        task = asyncio.create_task(_ask(contender, call, tally))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        _, lost = await asyncio.wait(under_way, timeout=PATIENCE_SECONDS)
        for task in lost:
            task.cancel()


async def _ask(contender: Contender, call: Call, tally: Tally) -> None:
    """Ask one question and count what comes; what ends in another way is lost, and not counted."""
    try:
        ended: Reply | TandemError = await contender.answer(call)
    except TandemError as error:
        ended = error
    except Exception:  # noqa: BLE001 - a defect of the contender: it is counted, and told
        _LOG.exception("request %s is lost", call.request_id)
        return
    if not tally.counts(call):
        return
    if call.remaining() < ON_TIME:
        tally.late()
    elif isinstance(ended, TandemError):
        tally.failed(ended.reason)
    else:
        tally.answered(call, ended, now() - call.started)
