"""Settings that every service has. Each is an environment variable: the service's prefix and the field's name."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tandem.serving.context import DeadlineRule
from tandem.serving.server import Listen
from tandem.serving.tls import Tls
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

    tls_certificate: Path | None = None
    """Certificate of the service, a chain in PEM. Files of TLS are read again when they change. Absent: plaintext."""

    tls_key: Path | None = None
    """Key of `tls_certificate`, in PEM and without a password."""

    tls_client_ca: Path | None = None
    """Authorities, in PEM, one of which must have issued a client's certificate (mTLS). Absent: none is asked for."""

    health_listen: str = ""
    """Second address, in plaintext, that tells health and nothing else: for probes that cannot do TLS. Empty: none."""

    def listening(self) -> Listen:
        """Return where and how the server listens.

        Raises:
            TlsUnusable: only some of the files of TLS are named.
        """
        tls = Tls(self.tls_client_ca, self.tls_certificate, self.tls_key)
        return Listen(self.listen, self.drain_seconds, tls if tls.named() else None, self.health_listen)


class CalleeSettings(ServiceSettings):
    """Settings of a service that the orchestrator calls: it has no policy to say how long a request may take."""

    default_deadline_seconds: float = Field(default=60.0, gt=0)
    """Deadline of a call that names none."""

    max_deadline_seconds: float = Field(default=600.0, gt=0)
    """Longest deadline that counts; a later one is cut to it."""

    def deadline_rule(self) -> DeadlineRule:
        """Return how long a request may take."""
        return DeadlineRule(self.default_deadline_seconds, self.max_deadline_seconds)
