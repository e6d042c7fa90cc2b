"""Tells tracing of the requests that end: an observer of the books."""

from __future__ import annotations

from collections.abc import Callable

from tandem.clock import now
from tandem.errors import FAULTS
from tandem.orchestrator.content import Captured
from tandem.orchestrator.ended import Ended
from tandem.orchestrator.spans import RequestSpans
from tandem.orchestrator.telemetry_policy import Content
from tandem.telemetry.tracing import Tracing

ITEM = "BatchGenerate"
"""The rpc of which a request is a part; under any other it is the whole."""


class RequestTracing:
    """Satisfies `tandem.orchestrator.ended.Observer`."""

    def __init__(self, tracing: Tracing, content: Callable[[], Content]) -> None:
        self._tracing = tracing
        self._content = content

    def ended(self, ended: Ended) -> None:
        """Say what is to be told of a request, and whether it is worth telling."""
        trace = ended.call.trace
        if trace is None:
            return
        why = _why(ended)
        if why:
            trace.keep_for(why)
        if trace.story is None and not (trace.handed or ended.method == ITEM):
            trace.story = RequestSpans(self._tracing, trace, ended, now(), self._captured)

    def settled(self, ended: Ended) -> None:
        """Tell what is known only now, or has no call of its own to be told with."""
        trace = ended.call.trace
        if trace is None:
            return
        story = trace.story
        if isinstance(story, RequestSpans):
            story.settle(ended.answer, now(), apart=trace.handed)
            if trace.handed and trace.kept:
                self._tracing.put(_Late(story))
        elif trace.kept:
            at = now()
            story = RequestSpans(self._tracing, trace, ended, at, self._captured)
            story.settle(ended.answer, at)
            story.hold()
            self._tracing.put(_Whole(story))

    def _captured(self, ended: Ended) -> Captured | None:
        content = self._content()
        return Captured(content, ended.messages) if ended.call.tenant in content.tenants else None


def _why(ended: Ended) -> str:
    """Return why a request is worth telling, whatever the sampler says; empty: it is not."""
    if ended.reason in FAULTS:
        return "failed"
    if ended.answer.degradations:
        return "degraded"
    late = ended.call.started + ended.answer.duration_ms / 1000.0 > ended.call.deadline
    return "late" if late else ""


class _Whole:
    """A request that is a part of a call, or outlived it; satisfies `tandem.telemetry.exporting.Told`."""

    def __init__(self, story: RequestSpans) -> None:
        self._story = story
        self.count = 1 + story.count
        self.size = story.size

    def spans(self) -> list[bytes]:
        """Make its spans."""
        spans = self._story.spans()
        return [self._story.whole(spans), *self._story.children(spans)]


class _Late:
    """What was known of a request only after its spans were made: what the engines counted."""

    size = 0
    count = 1

    def __init__(self, story: RequestSpans) -> None:
        self._story = story

    def spans(self) -> list[bytes]:
        """Make the span of the books."""
        return [self._story.record(self._story.spans())]
