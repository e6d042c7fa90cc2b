"""Settings of tracing: OpenTelemetry's own environment variables, so that what operators know holds here too."""

from __future__ import annotations

from typing import Final, Literal, Self
from urllib.parse import unquote

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tandem.telemetry.trace import Sampling

Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
OTLP_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PARENT_BASED: Final = "parentbased_"


class TracingSettings(BaseSettings):
    """Environment variables `OTEL_…`. Headers, certificates and timeouts of the exporter are read by the SDK itself."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, env_ignore_empty=True)

    otel_exporter_otlp_endpoint: str = ""
    """Where spans go by OTLP over gRPC, such as `http://collector:4317`. Empty: nothing is traced."""

    otel_exporter_otlp_traces_endpoint: str = ""
    """The same for traces alone; goes before it."""

    otel_traces_sampler: Sampler = "parentbased_always_on"
    """Which traces are kept whatever happens in them. Degraded, late and failed requests are kept by every sampler."""

    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    """Part of the traces that a sampler with `traceidratio` keeps, 0 to 1."""

    otel_bsp_schedule_delay: int = Field(default=1000, ge=1)
    """Longest time that a span waits for others to go with it, in milliseconds; 512 go at once."""

    otel_service_name: str = ""
    """Name of the service in its spans. Empty: `tandem-orchestrator` and the like."""

    otel_resource_attributes: str = ""
    """More about the process, `key=value,key=value`: such as `deployment.environment.name=test`."""

    otel_semconv_stability_opt_in: str = ""
    """With `gen_ai_latest_experimental` among its values, the newest conventions for calls to models."""

    def endpoint(self) -> str:
        """Return where spans go; empty: nowhere."""
        return self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint

    def sending_to(self, endpoint: str) -> Self:
        """Return the same settings with another endpoint; an empty one changes nothing."""
        if not endpoint:
            return self
        changes = {"otel_exporter_otlp_endpoint": endpoint, "otel_exporter_otlp_traces_endpoint": ""}
        return self.model_copy(update=changes)

    def sampling(self) -> Sampling:
        """Return which traces are kept whatever happens in them."""
        name = self.otel_traces_sampler
        ratio = {"always_on": 1.0, "always_off": 0.0}.get(
            name.removeprefix(_PARENT_BASED), self.otel_traces_sampler_arg
        )
        return Sampling(ratio, name.startswith(_PARENT_BASED))

    def resource_attributes(self) -> dict[str, str]:
        """Return what is told of the process."""
        pairs = (pair.partition("=") for pair in self.otel_resource_attributes.split(",") if "=" in pair)
        return {key.strip(): unquote(value.strip()) for key, _, value in pairs}

    def opt_ins(self) -> set[str]:
        """Return which newer conventions are wanted."""
        return {value.strip() for value in self.otel_semconv_stability_opt_in.split(",")}
