"""An orchestrator and what it calls."""

from __future__ import annotations

from typing import Any

from tandem.orchestrator.work import Services
from tandem.v1 import orchestrator_pb2, types_pb2
from tests.fakes.calls import call, question
from tests.fakes.documents import catalogue, policy
from tests.fakes.inference import ScriptedInference, Step, saying
from tests.fakes.orchestrators import FakeLedger, orchestrator
from tests.fakes.services import FakeClassifier, FakeFusion

Event = orchestrator_pb2.StreamGenerateResponse


class World:
    """An orchestrator and what it calls."""

    def __init__(
        self,
        r1: list[Step] | ScriptedInference | None = None,
        pro: list[Step] | None = None,
        **changes: Any,
    ) -> None:
        self.classifier = FakeClassifier()
        self.fusion = FakeFusion()
        self.r1 = r1 if isinstance(r1, ScriptedInference) else ScriptedInference(r1 or saying("because"))
        self.pro = ScriptedInference(pro or saying("therefore"))
        services = Services(self.classifier, self.fusion, {"r1": self.r1, "pro": self.pro})
        changed = policy({path.replace("__", "."): value for path, value in changes.items()})
        self.ledger = FakeLedger()
        self.orchestrator = orchestrator(services, catalogue(), changed, self.ledger)

    async def ask(
        self,
        asked: orchestrator_pb2.GenerateRequest | None = None,
        tenant: str = "anonymous",
        seconds: float = 10.0,
    ) -> types_pb2.Answer:
        """Return the answer to a question."""
        return await self.orchestrator.generate(asked or question(), call(seconds, tenant=tenant))

    async def events(
        self, asked: orchestrator_pb2.GenerateRequest | None = None, seconds: float = 10.0
    ) -> list[Event]:
        """Return the events of a streamed answer."""
        source = self.orchestrator.stream_generate(asked or question(), call(seconds))
        return [event async for event in source]


def kinds(events: list[Event]) -> list[str | None]:
    """Return the kinds of events."""
    return [event.WhichOneof("event") for event in events]


def reasons(answer: types_pb2.Answer) -> list[str]:
    """Return the words for the reasons of an answer's degradations."""
    names = (types_pb2.DegradationReason.Name(each.reason) for each in answer.degradations)
    return [name.removeprefix("DEGRADATION_REASON_") for name in names]


def as_seen(events: list[Event]) -> str:
    """Return the text that a client has in the end."""
    text = ""
    for event in events:
        text = event.revision.text if event.HasField("revision") else text + event.text.delta
    return text
