"""`tandem up`: the whole system on this machine until Ctrl-C."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from tandem.catalogue import load_catalogue
from tandem.classifier.artifact import load_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.settings import Settings as ClassifierSettings
from tandem.cli.triton_urls import addresses_by_tier
from tandem.deployment import deploy_folder
from tandem.embedded.errors import EmbeddedError
from tandem.embedded.local import Models, local_system
from tandem.embedded.progress import progress_on
from tandem.embedded.system import System
from tandem.embedded.triton import TritonStatus
from tandem.fusion.errors import ArtifactUnusable as FusionUnusable
from tandem.ledger.errors import LedgerUnusable
from tandem.ledger.opening import check_ledger
from tandem.serving.server import StartError, stop_signal
from tandem.state_folder import embedded_ledger
from tandem.telemetry.logs import LogFormat, LogLevel, configure, logger
from tandem.yaml_document import DocumentError

_log = logger("up")


@dataclass(frozen=True, slots=True)
class Options:
    """What `tandem up` was asked for."""

    separate: bool
    listen: str
    catalogue: Path | None
    policy: Path | None
    keys: Path | None
    r1_model: str
    pro_model: str
    triton_url: list[str]
    ledger: str | None
    keep_prompts: bool
    metrics: str
    otlp: str
    log_format: LogFormat
    log_level: LogLevel

    def system(self) -> System:
        """Return the system to run.

        Raises:
            TritonUrlInvalid: the addresses of Triton do not fit the tiers.
            DocumentError: the catalogue is not valid.
        """
        catalogue = self.catalogue or deploy_folder() / "catalogue.yaml"
        return System(
            triton=addresses_by_tier(self.triton_url, list(load_catalogue(catalogue).tiers)),
            listen=self.listen,
            catalogue=catalogue,
            policy=self.policy or deploy_folder() / "policy.yaml",
            ledger=self.ledger_url(),
            keep_prompts=self.keep_prompts,
            keys=self.keys,
            metrics=self.metrics,
            otlp=self.otlp,
            log_format=self.log_format,
            log_level=self.log_level,
        )

    def ledger_url(self) -> str:
        """Return where attempts are booked; empty: nowhere."""
        if self.ledger is None:
            return embedded_ledger()
        return "" if self.ledger == "none" else self.ledger


def log_status(status: TritonStatus) -> None:
    """Log a change of Triton's status."""
    down = ", ".join(sorted(status.models_down))
    _log.info(
        "triton", state=status.state.value, restarts=status.restarts, models_down=down, detail=status.detail
    )


async def run_up(options: Options) -> int:
    """Run the system until SIGINT or SIGTERM; return the exit status."""
    configure(options.log_format, options.log_level)
    models = Models(options.r1_model, options.pro_model)
    try:
        # First: what is wrong with them is better known before minutes of fetching.
        check_ledger(options.ledger_url())
        load_artifact(ClassifierSettings().artifact)
        # Until the system has started, Ctrl-C cancels the start; afterwards it lets running requests finish.
        async with (
            local_system(options.system(), models, options.separate, progress_on(), log_status) as address,
            stop_signal() as stop,
        ):
            typer.echo(
                f'Tandem answers at {address}. Try: tandem ask --target {address} "Why is the sky blue?"',
                err=True,
            )
            typer.echo("Ctrl-C stops it.", err=True)
            await stop.wait()
            typer.echo("Stopping: running requests get time to finish ...", err=True)
    except (
        ArtifactUnusable,
        FusionUnusable,
        EmbeddedError,
        DocumentError,
        LedgerUnusable,
        StartError,
    ) as error:
        typer.echo(f"tandem up: {error}", err=True)
        return 1
    return 0
