"""OTLP over gRPC: the SDK's exporter for bytes that are made already (see `tandem.telemetry.wire`)."""

from __future__ import annotations

import logging
from typing import Any, Final

from grpc import Channel
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExportResult

from tandem.telemetry.logs import logger

_log = logger("tracing")
EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class OtlpExporter:
    """Sends requests to a collector. What the SDK says of it, such as why spans are not taken, goes to our log."""

    def __init__(self, endpoint: str) -> None:
        self._sender = _Sender(endpoint=endpoint)
        library = logging.getLogger("opentelemetry")
        if not any(isinstance(handler, _ToLog) for handler in library.handlers):
            library.addHandler(_ToLog())
        library.propagate = False

    def export(self, request: bytes) -> bool:
        """Send the bytes of an `ExportTraceServiceRequest`; return whether the collector took them."""
        return self._sender.send(request) is SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Stop, also what is under way."""
        self._sender.shutdown()


class _ToLog(logging.Handler):
    """Writes what the SDK says into our log, in its form."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.warning("of the collector", says=record.getMessage())


class _Sender(OTLPSpanExporter):
    """The SDK's exporter: its variables, credentials, retries and timeouts."""

    def send(self, request: Any) -> SpanExportResult:
        """Send bytes in place of spans."""
        return self._export(request)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # the SDK's
        channel: Any = self._channel
        self._client: Any = _Stub(channel)

    def _translate_data(self, data: Any) -> Any:
        return data


class _Stub:
    """Calls the collector with bytes."""

    def __init__(self, channel: Channel) -> None:
        self.Export: Any = channel.unary_unary(
            EXPORT, response_deserializer=ExportTraceServiceResponse.FromString
        )
        """Sends a request."""
