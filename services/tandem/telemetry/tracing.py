"""Tracing of one process: which requests are traced, and where their spans go."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from tandem.telemetry.names import LATEST_GEN_AI, Attribute
from tandem.telemetry.settings import TracingSettings
from tandem.telemetry.trace import Begin

if TYPE_CHECKING:
    from tandem.telemetry.exporting import Exporter, Told

NAMESPACE: Final = "tandem"


class Tracing:
    """Traces the requests of one process.

    OpenTelemetry is imported when one is made: a process that does not trace does without.

    Args:
        service: name of the service, unless the settings give another.
        settings: OpenTelemetry's own.
        exporter: where spans go.
        begins: whether a request without a trace gets one here.
    """

    def __init__(
        self, service: str, settings: TracingSettings, exporter: Exporter, *, begins: bool = True
    ) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - see above

        from tandem.telemetry.exporting import Exporting  # noqa: PLC0415 - see above
        from tandem.telemetry.spans import SpanMaker  # noqa: PLC0415 - see above

        number = version("tandem")
        told = {Attribute.SERVICE_NAME: service, **settings.resource_attributes()}
        if settings.otel_service_name:
            told[Attribute.SERVICE_NAME] = settings.otel_service_name
        resource = Resource.create(
            {
                Attribute.SERVICE_NAMESPACE: NAMESPACE,
                Attribute.SERVICE_VERSION: number,
                Attribute.SERVICE_INSTANCE: str(uuid.uuid4()),
                **told,
            }
        )
        self.maker = SpanMaker(resource, number)
        """Makes spans of this process."""
        self.latest_gen_ai = LATEST_GEN_AI in settings.opt_ins()
        """Whether the newer conventions of generative AI are wanted."""
        self.begin: Begin = partial(settings.sampling().begin, begins=begins)
        """Returns the place of a request that arrives; None: it is not traced."""
        self._exporting = Exporting(exporter, self.maker, settings.otel_bsp_schedule_delay / 1000.0)

    @property
    def dropped(self) -> int:
        """Spans that were to be kept and did not reach the collector."""
        return self._exporting.dropped

    @property
    def exported(self) -> int:
        """Spans that reached the collector."""
        return self._exporting.exported

    def put(self, told: Told) -> None:
        """Have the spans made and exported of something that has ended; never waits."""
        self._exporting.put(told)

    def close(self) -> None:
        """Export what is left, within seconds."""
        self._exporting.close()


@asynccontextmanager
async def tracing(
    service: str, settings: TracingSettings, *, begins: bool = False
) -> AsyncIterator[Tracing | None]:
    """Give the tracing of a process, and export what is left behind it; None: no endpoint is set."""
    endpoint = settings.endpoint()
    if not endpoint:
        yield None
        return
    from tandem.telemetry.otlp import OtlpExporter  # noqa: PLC0415 - as above

    traced = Tracing(service, settings, OtlpExporter(endpoint), begins=begins)
    try:
        yield traced
    finally:
        await asyncio.to_thread(traced.close)
