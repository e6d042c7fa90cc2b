"""A classifier and a fusion service that do what a test says."""

from __future__ import annotations

import asyncio

from tandem.call import Call
from tandem.errors import DeadlineExceeded
from tandem.v1 import classifier_pb2, fusion_pb2, types_pb2


def signals(r1_suffices: float = 0.9) -> types_pb2.Signals:
    """Return findings that let the cheap tier answer."""
    return types_pb2.Signals(
        r1_suffices=types_pb2.ScoreSignal(value=r1_suffices, confidence=1.0),
        task=types_pb2.TaskSignal(value=types_pb2.TASK_FACTUAL, confidence=1.0),
        domain=types_pb2.DomainSignal(value=types_pb2.DOMAIN_SCIENCE, confidence=1.0),
    )


class FakeClassifier:
    """Finds the same in every conversation."""

    def __init__(self, found: types_pb2.Signals | None = None) -> None:
        self.found = found or signals()
        self.failure: Exception | None = None
        """What is raised instead."""
        self.hangs = False
        """True: never answers."""
        self.calls: list[Call] = []

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation."""
        self.calls.append(call)
        if self.hangs:
            await asyncio.sleep(call.remaining())
            raise DeadlineExceeded("the classifier was late")
        if self.failure is not None:
            raise self.failure
        return classifier_pb2.ClassifyResponse(signals=self.found)


class FakeFusion:
    """Lets the same candidate win every vote."""

    def __init__(self, winner: int = 0) -> None:
        self.winner = winner
        self.failure: Exception | None = None
        """What is raised instead."""
        self.hangs = False
        """True: never answers."""
        self.requests: list[fusion_pb2.FuseRequest] = []

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose the winner."""
        self.requests.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        ballots = [
            types_pb2.Ballot(target=c.target, normalised=c.text, weight=1.0) for c in request.candidates
        ]
        outcome = types_pb2.Fusion(ballots=ballots, winner=self.winner, agreement=0.5)
        text = request.candidates[self.winner].text if self.winner < len(request.candidates) else ""
        return fusion_pb2.FuseResponse(text=text, fusion=outcome)
