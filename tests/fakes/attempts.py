"""One request against scripted tiers, as the attempt engine runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from tandem.call import Call
from tandem.orchestrator.attempts import Attempts, Backends, Question, Result
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.record import Record
from tandem.orchestrator.retry_budget import RetryBudget
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, Step
from tests.fakes.services import signals

CATALOGUE = catalogue()
Event = orchestrator_pb2.StreamGenerateResponse
R1 = types_pb2.Target(tier="r1", variant="fp16")


@dataclass
class Run:
    """One request against scripted tiers."""

    r1: ScriptedInference
    pro: ScriptedInference
    call: Call
    max_attempts: int = 2
    r1_suffices: float = 0.9
    result: Result = field(default_factory=Result)

    def __post_init__(self) -> None:
        self.live = LiveModels(CATALOGUE, policy())
        planned = Planner(CATALOGUE, policy(), self.live).plan(
            question(), signals(self.r1_suffices), self.call
        )
        self.plan = planned.plan
        self.record = Record(self.call, CATALOGUE)
        tiers = {"r1": self.r1, "pro": self.pro}
        self.backends = Backends(tiers, CATALOGUE, self.live, RetryBudget(0.1), self.max_attempts)
        self.asked = Question(question(), self.plan, self.call, planned.prompt_tokens)
        self.attempts = Attempts(self.asked, self.backends, self.record, buffered=False)

    async def answer(self) -> Result:
        await self.events()
        return self.result

    async def events(self) -> list[Event]:
        return [event async for event in self.stream()]

    async def stream(self) -> AsyncIterator[Event]:
        async with aclosing(self.attempts.stream(self.plan.attempts[0], self.result)) as events:
            async for event in events:
                yield event

    def targets(self) -> list[str]:
        return [f"{a.target.tier}/{a.target.variant}" for a in self.record.attempts]

    def outcomes(self) -> list[str]:
        return [
            types_pb2.AttemptOutcome.Name(a.outcome).removeprefix("ATTEMPT_OUTCOME_")
            for a in self.record.attempts
        ]


def run(
    r1: list[Step],
    pro: list[Step],
    *,
    again: list[Step] | None = None,
    r1_suffices: float = 0.9,
    **options: int | None,
) -> Run:
    """Return a run; `again` is what r1 does with its second request."""
    retries_left, max_attempts = options.get("retries_left"), options.get("max_attempts") or 2
    first = ScriptedInference(r1, again) if again else ScriptedInference(r1)
    asked = call(seconds=10, retries_left=retries_left)
    return Run(first, ScriptedInference(pro), asked, max_attempts, r1_suffices)


def shown(events: list[Event]) -> str:
    return "".join(event.text.delta for event in events)
