"""Work that callers share, on virtual time: it says a word every second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tandem.call import Call
from tandem.orchestrator.single_flight import Event, Flights
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call

KEY = b"k"
Step = str | Exception


class World:
    """Flights, and their work; each script is used once, the last one again and again."""

    def __init__(self, *scripts: list[Step]) -> None:
        self.scripts = list(scripts) or [["be", "cause"]]
        self.noted: list[str] = []
        self.flights = Flights(lambda key, caller: self.noted.append(caller.request_id))
        self.started = 0
        self.running = 0
        self.degradations: list[list[types_pb2.Degradation]] = []

    def _script(self) -> list[Step]:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    async def work(self, caller: Call) -> AsyncGenerator[Event, None]:
        self.started += 1
        self.running += 1
        script = self._script()
        degradations = self.degradations.pop(0) if self.degradations else []
        try:
            yield Event(started=orchestrator_pb2.Started(request_id=caller.request_id, plan=types_pb2.Plan()))
            for step in script:
                await asyncio.sleep(1)
                if isinstance(step, Exception):
                    raise step
                yield Event(text=orchestrator_pb2.TextDelta(delta=step))
            answer = types_pb2.Answer(
                request_id=caller.request_id,
                usage=types_pb2.Usage(output_tokens=len(script)),
                cost_nano_usd=7,
                attempts=[types_pb2.Attempt()],
                degradations=degradations,
                cache=types_pb2.CACHE_OUTCOME_MISS,
                ttft_ms=1000,
            )
            yield Event(finished=orchestrator_pb2.Finished(answer=answer))
        finally:
            self.running -= 1

    async def ask(self, caller: Call) -> types_pb2.Answer:
        async def work() -> types_pb2.Answer:
            text = ""
            answer = types_pb2.Answer()
            async with aclosing(self.work(caller)) as events:
                async for event in events:
                    text += event.text.delta
                    answer = event.finished.answer
            answer.text = text
            answer.ClearField("ttft_ms")
            return answer

        return await self.flights.answer(KEY, caller, work)

    def stream(self, caller: Call) -> AsyncGenerator[Event, None]:
        return self.flights.stream(KEY, caller, lambda: self.work(caller))

    async def read(self, caller: Call) -> list[Event]:
        return [event async for event in self.stream(caller)]


def named(name: str, seconds: float = 60.0) -> Call:
    return call(seconds, request_id=name)


def later(seconds: float, name: str = "later") -> Call:
    return call(60 + seconds, request_id=name)


def joined(events: list[Event]) -> str:
    return "".join(event.text.delta for event in events)
