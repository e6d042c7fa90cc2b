"""Simulated tiers: tokens on virtual time, at drawn speeds, with drawn mishaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from tandem.call import Call
from tandem.catalogue import Tier
from tandem.clock import now
from tandem.errors import BackendUnavailable, DeadlineExceeded
from tandem.simulation.fates import Fate, Fates
from tandem.simulation.machine import CALM, FULL, Engine, Machine, Weather
from tandem.simulation.traffic import Traffic
from tandem.v1 import inference_pb2, types_pb2

Piece = inference_pb2.StreamInferResponse
PIECE_SECONDS: Final = 0.5
"""Tokens made in this time travel together: as few pieces as the shortest wait for a token allows."""
WORD, LAST_WORD = "and ", "on. "
"""The text of a token, and of the last one of a piece, which is a sentence."""


@dataclass(frozen=True, slots=True)
class Luck:
    """What befalls a tier."""

    fates: Mapping[str, Fates]
    """Of attempts, by variant."""
    weather: Weather = CALM
    """Of all of it, by time."""


class SimulatedTier:
    """One tier; satisfies `tandem.protocols.Inference`. A request's identifier is its number in the traffic.

    Args:
        name: of the tier.
        tier: its variants, the speed of each one with nothing else to do.
        traffic: how long answers are.
        luck: what befalls attempts, and all of it.
        full: time per token when all places are taken, as a multiple of that of an attempt alone.
    """

    def __init__(self, name: str, tier: Tier, traffic: Traffic, luck: Luck, full: float = FULL) -> None:
        self._name = name
        self._tier = tier
        self._traffic = traffic
        self._fates = luck.fates
        first = tier.default_variant
        machine = Machine(tier.variants[first].concurrency, luck.weather, full)
        self._engines = {
            name: Engine(variant, machine, luck.weather if name == first else CALM)
            for name, variant in tier.variants.items()
        }
        self._made: dict[tuple[str, int], int] = {}

    @property
    def attempts(self) -> int:
        """Attempts that reached the tier since the start."""
        return sum(engine.attempts for engine in self._engines.values())

    @property
    def in_flight(self) -> int:
        """Attempts that have a place."""
        return sum(engine.in_flight for engine in self._engines.values())

    @property
    def tokens_made(self) -> int:
        """Tokens made since the start, those of attempts that were cut off included."""
        return sum(self._made.values())

    def made(self, request_id: str, attempt: int) -> int:
        """Return the tokens that an attempt made before it ended."""
        return self._made.get((request_id, attempt), 0)

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message."""
        response = inference_pb2.InferResponse()
        async with aclosing(self.stream_infer(request, call)) as pieces:
            async for piece in pieces:
                response.text += piece.text
                if piece.HasField("finished"):
                    response.finished.CopyFrom(piece.finished)
        return response

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Answer piece by piece: the first token, then what half a second gives."""
        number = int(call.request_id)
        # What was shown already is continued, not repeated.
        rest = max(1, self._traffic.wanted_tokens[number] - len(request.continuation_prefix) // len(WORD))
        generation = _Generation(
            self._engines[request.variant],
            self._fates[request.variant].of(number),
            call,
            min(rest, request.sampling.max_tokens),
        )
        try:
            async with generation.engine.place(call):
                await generation.first(self._traffic.prompt_tokens[number])
                yield Piece(text=LAST_WORD, output_tokens=1)
                while generation.sent < generation.tokens:
                    made = await generation.more()
                    yield Piece(text=WORD * (made - 1) + LAST_WORD, output_tokens=made)
                whole = generation.tokens == rest
                reason = types_pb2.FINISH_REASON_STOP if whole else types_pb2.FINISH_REASON_LENGTH
                usage = self._usage(number, generation.tokens)
                yield Piece(finished=inference_pb2.InferFinished(finish_reason=reason, usage=usage))
        finally:
            self._made[call.request_id, request.attempt] = generation.made()

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what an attempt took after all."""
        known = (call.request_id, request.attempt) in self._made
        usage = self._usage(int(call.request_id), self.made(call.request_id, request.attempt))
        return inference_pb2.SettleUsageResponse(usage=usage, settled=known)

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Tell the variants."""
        variants = [
            inference_pb2.Capability(
                variant=name, model=variant.model, ready=True, context_tokens=variant.context_tokens
            )
            for name, variant in self._tier.variants.items()
        ]
        return inference_pb2.GetCapabilitiesResponse(tier=self._name, variants=variants)

    def _usage(self, number: int, made: int) -> types_pb2.Usage:
        return types_pb2.Usage(input_tokens=self._traffic.prompt_tokens[number], output_tokens=made)


class _Generation:
    """One attempt under way in an engine.

    Args:
        engine: where.
        fate: what befalls it.
        call: until when.
        tokens: how many it will make.
    """

    def __init__(self, engine: Engine, fate: Fate, call: Call, tokens: int) -> None:
        self.engine = engine
        self.tokens = tokens
        self.sent = 0
        """Tokens that were sent."""
        self._fate = fate
        self._call = call
        self._mishap = max(1, int(fate.mishap * tokens))
        self._stall = fate.stall_seconds
        self._each = 0.0
        """Seconds for one token, as of the piece that is being made."""
        self._piece = 0
        """Tokens of that piece."""
        self._began = self._stopped = 0.0
        """When its tokens begin to come, and when they stop coming."""

    def made(self) -> int:
        """Return the tokens that were made so far, those included that were not sent."""
        if not self._piece:
            return self.sent
        seconds = min(now(), self._stopped) - self._began
        return self.sent + max(0, min(self._piece, int(seconds / self._each + 1e-9)))

    async def first(self, prompt_tokens: int) -> None:
        """Make the first token."""
        latency = self.engine.latency
        usual_ms = latency.ttft_ms + latency.ttft_ms_per_1000_tokens * prompt_tokens / 1000.0
        self._each = usual_ms / 1000.0 * self._fate.ttft_factor * self.engine.machine.slowness()
        await self._make(1)

    async def more(self) -> int:
        """Make the next piece; return its number of tokens."""
        if self._fate.breaks and self.sent >= self._mishap:
            raise BackendUnavailable("the connection to the engine broke off; retry the request")
        tpot = self.engine.latency.tpot_ms / 1000.0
        self._each = tpot * self._fate.tpot_factor * self.engine.machine.slowness()
        stall = 0.0
        if self._stall and self.sent >= self._mishap:
            stall, self._stall = self._stall, 0.0
        tokens = min(self.tokens - self.sent, max(1, int(PIECE_SECONDS / self._each)))
        await self._make(tokens, stall)
        return tokens

    async def _make(self, tokens: int, stall: float = 0.0) -> None:
        start = now()
        self._piece = tokens
        self._began = start + stall
        self._stopped = self._began + tokens * self._each
        await self._live_until(start, self._stopped)
        self.sent += tokens
        self._piece = 0

    async def _live_until(self, start: float, end: float) -> None:
        """Let time pass, unless the engine or the deadline ends the attempt before."""
        outage = self.engine.machine.outages.first(start, end)
        if outage is not None:
            await self._end(outage[0], outage[0], "is dead")
        hang = self.engine.hangs.first(start, end)
        if hang is not None:
            await self._end(hang[0], hang[1], "was started anew")
        await self._sleep(end)

    async def _end(self, stopped: float, told: float, what: str) -> None:
        """Make no tokens after `stopped`, and fail at `told`."""
        self._stopped = min(self._stopped, stopped)
        await self._sleep(told)
        raise BackendUnavailable(f"the engine {what}; retry the request")

    async def _sleep(self, until: float) -> None:
        await asyncio.sleep(min(until, self._call.deadline) - now())
        if until > self._call.deadline:
            raise DeadlineExceeded(
                "the engine did not finish by the deadline; grant more time or fewer tokens"
            )
