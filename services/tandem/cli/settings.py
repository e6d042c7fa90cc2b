"""Shows the settings of a service, and says in words what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.table import Table

from tandem.classifier.errors import ArtifactUnusable
from tandem.fusion.errors import ArtifactUnusable as FusionUnusable
from tandem.ledger.errors import LedgerUnusable
from tandem.serving.server import StartError
from tandem.serving.settings import ServiceSettings
from tandem.serving.tls import TlsUnusable
from tandem.telemetry.settings import TracingSettings
from tandem.yaml_document import DocumentError


def settings_class(service: str) -> type[ServiceSettings]:
    """Return the settings of a service."""
    found: type[ServiceSettings] = import_module(f"tandem.{service}.settings").Settings
    return found


def print_settings(service: str) -> None:
    """List every setting of a service: variable, default, meaning."""
    _print_table(f"Settings of {service}", settings_class(service))
    _print_table("Settings of tracing, the same for every service", TracingSettings)


def _print_table(title: str, cls: type[BaseSettings]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("variable", no_wrap=True)
    table.add_column("default", overflow="fold")
    table.add_column("meaning")
    for name, field in cls.model_fields.items():
        default = "(required)" if field.is_required() else str(field.get_default(call_default_factory=True))
        table.add_row(variable(cls, name), default, field.description)
    Console().print(table)


def variable(cls: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a setting."""
    return f"{cls.model_config.get('env_prefix', '')}{field}".upper()


@contextmanager
def exit_on_bad_settings(service: str) -> Iterator[None]:
    """Turn errors of settings, documents and artifacts into a message and exit status 2, those of starting into 1."""
    classes = {cls.__name__: cls for cls in (settings_class(service), TracingSettings)}
    try:
        yield
    except ValidationError as error:
        for problem in error.errors():
            name = variable(classes[error.title], ".".join(map(str, problem["loc"])))
            typer.echo(f"{name}: {problem['msg']}; see `tandem serve {service} --settings`", err=True)
        raise typer.Exit(2) from error
    except (ArtifactUnusable, FusionUnusable, DocumentError, TlsUnusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (LedgerUnusable, StartError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def exit_on_bad_tracing() -> None:
    """Say what is wrong with the settings of tracing, if anything is, and exit with status 2."""
    with exit_on_bad_settings("orchestrator"):
        TracingSettings()
