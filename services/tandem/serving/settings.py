"""Settings that every service has. Each is an environment variable: the service's prefix and the field's name."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tandem.serving.context import DeadlineRule
from tandem.serving.server import Listen
from tandem.telemetry.logs import LogFormat, LogLevel


class ServiceSettings(BaseSettings):
    """Base of the settings of a service."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    listen: str
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""

    metrics_listen: str = ""
    """Address of the metrics for Prometheus, `HOST:PORT`, at the path `/metrics`. Empty: there are none."""

    drain_seconds: float = Field(default=30.0, ge=0)
    """Longest time that running calls get to finish after SIGTERM."""

    log_format: LogFormat = "json"
    """`json`: one object per line. `console`: a form for people."""

    log_level: LogLevel = "info"
    """Least severe level that is logged."""

    def listening(self) -> Listen:
        """Return where the server listens."""
        return Listen(self.listen, self.drain_seconds)


class CalleeSettings(ServiceSettings):
    """Settings of a service that the orchestrator calls: it has no policy to say how long a request may take."""

    default_deadline_seconds: float = Field(default=60.0, gt=0)
    """Deadline of a call that names none."""

    max_deadline_seconds: float = Field(default=600.0, gt=0)
    """Longest deadline that counts; a later one is cut to it."""

    def deadline_rule(self) -> DeadlineRule:
        """Return how long a request may take."""
        return DeadlineRule(self.default_deadline_seconds, self.max_deadline_seconds)
