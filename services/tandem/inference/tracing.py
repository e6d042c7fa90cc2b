"""The span of the inference service's call to Triton. In the embedded process the orchestrator's span is that call."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from tandem.clock import now
from tandem.errors import BY_REASON, FAULTS, TABLE, error_type
from tandem.telemetry.names import Attribute, SpanEvent, SpanName
from tandem.telemetry.trace import Trace
from tandem.telemetry.tracing import Tracing

TRITON: Final = 1
"""Place of the span in the call that the inference service serves."""


class TritonCall:
    """One call to Triton, a context that is the call; satisfies `tandem.telemetry.exporting.Told`.

    Args:
        tracing: where its span goes.
        trace: place of the served call in its trace; None: it is not traced.
        model: Triton's name of the model.
    """

    size = 0
    count = 1

    def __init__(self, tracing: Tracing | None, trace: Trace | None, model: str) -> None:
        self._tracing, self._trace, self._model = tracing, trace, model
        self._started = now()
        self._first = 0.0
        self._ended = 0.0
        self._error = ""

    def heard(self) -> None:
        """Note that something came."""
        if not self._first:
            self._first = now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracing is None or self._trace is None:
            return
        self._ended = now()
        self._error = error_type(error) if error else ""
        if self._error in FAULTS:
            self._trace.keep_for("failed")
        if self._trace.kept:
            self._tracing.put(self)

    def spans(self) -> list[bytes]:
        """Make its span."""
        from tandem.telemetry.spans import CLIENT  # noqa: PLC0415 - OpenTelemetry, for those who trace

        assert self._tracing is not None  # noqa: S101 - it was handed over
        assert self._trace is not None  # noqa: S101 - likewise
        spans = self._tracing.maker.of(self._trace)
        return [
            spans.span(
                SpanName.TRITON,
                TRITON,
                (self._started, self._ended),
                {
                    Attribute.RPC_SYSTEM: "grpc",
                    Attribute.RPC_METHOD: SpanName.TRITON,
                    Attribute.RPC_STATUS: _status(self._error),
                    Attribute.MODEL: self._model,
                },
                kind=CLIENT,
                error=self._error,
                events=[spans.event(SpanEvent.FIRST_TOKEN, self._first, {})] if self._first else (),
            )
        ]


def _status(kind: str) -> str:
    """Return the status code of a kind of error; Triton tells of most errors in its answers, where there is none."""
    if not kind:
        return "OK"
    return TABLE[BY_REASON[kind]][0].name if kind in BY_REASON else "UNKNOWN"
