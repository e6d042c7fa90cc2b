"""Settings of the orchestrator service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from tandem.deployment import deploy_folder
from tandem.serving.keys import Keys, parse_keys
from tandem.serving.settings import ServiceSettings
from tandem.serving.tls import Tls


class Settings(ServiceSettings):
    """Environment variables `TANDEM_ORCHESTRATOR_…`."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_ORCHESTRATOR_",
        use_attribute_docstrings=True,
        extra="forbid",
        hide_input_in_errors=True,  # some of it is secret
    )

    listen: str = "127.0.0.1:50051"
    """Address to listen on, `HOST:PORT`. Port 0 takes a free one and logs it."""

    classifier: str = "127.0.0.1:50052"
    """Address of the classifier service, as gRPC names targets."""

    fusion: str = "127.0.0.1:50055"
    """Address of the fusion service, as gRPC names targets."""

    tiers: dict[str, str] = Field(default={"r1": "127.0.0.1:50053", "pro": "127.0.0.1:50054"})
    """Address of the inference service of every tier of the catalogue, as a JSON object."""

    tls_ca: Path | None = None
    """Authorities, in PEM, one of which must have issued the certificates of classifier, fusion and inference. They are
    called with TLS then, and shown `tls_certificate`. Absent: they are called in plaintext."""

    tls_server_name: str = ""
    """Name that those certificates must have. Empty: the host of each address."""

    catalogue: Path = Field(default_factory=lambda: deploy_folder() / "catalogue.yaml")
    """The model catalogue; read again when it changes."""

    policy: Path = Field(default_factory=lambda: deploy_folder() / "policy.yaml")
    """The policy; read again when it changes."""

    ledger: str = ""
    """SQLAlchemy URL of the database that every attempt is booked in. Empty: none is kept."""

    ledger_prompts: bool = False
    """Keep the text of conversations in the ledger, to learn from them; a legal matter, not only a technical one."""

    keys: Path | None = None
    """The hashes of the API keys. Read again when it changes. Absent, with `api_keys` absent: nobody needs a key."""

    api_keys: SecretStr | None = None
    """More hashes of API keys: a JSON object of tenant to SHA-256, or to a list of them. Absent: none."""

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_keys(value.get_secret_value())
        return value

    def environment_keys(self) -> Keys | None:
        """Return the API keys of `api_keys`; None if it is absent."""
        return None if self.api_keys is None else parse_keys(self.api_keys.get_secret_value())

    cache_url: SecretStr = SecretStr("")
    """Valkey or Redis that replicas share answers in: `redis://`, `rediss://` or `unix://`. Empty: none."""

    @field_validator("cache_url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            from tandem.orchestrator.shared_cache import open_pool  # noqa: PLC0415 - Redis, for those who share

            open_pool(url.get_secret_value())
        return url

    def calling(self) -> Tls | None:
        """Return how other services are called; None: in plaintext.

        Raises:
            TlsUnusable: only some of the files of TLS are named.
        """
        if self.tls_ca is None:
            return None
        return Tls(self.tls_ca, self.tls_certificate, self.tls_key, self.tls_server_name)
