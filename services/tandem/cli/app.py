"""All commands of `tandem`. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.calibrate import calibrate
from tandem.cli.classify import classify
from tandem.cli.fetch import fetch
from tandem.cli.keys import app as keys_app
from tandem.cli.ledger import app as ledger_app
from tandem.cli.peer import LOCAL, Ca, Cert, Key, Peer, ServerName, Target, tls
from tandem.cli.plan import plan
from tandem.cli.policy import app as policy_app
from tandem.cli.reviews import reviews
from tandem.cli.simulate import simulate
from tandem.cli.top import top
from tandem.cli.trace import trace
from tandem.cli.train import app as train_app
from tandem.cli.wait import wait
from tandem.embedded.source import DEFAULT_SOURCE

app = typer.Typer(
    name="tandem",
    help="Two tiers of language model behind one gRPC API: the right tier per request, an answer by the deadline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ledger_app, name="ledger")
app.add_typer(policy_app, name="policy")
app.add_typer(keys_app, name="keys")
app.add_typer(train_app, name="train")
app.command(name="fetch")(fetch)
app.command(name="calibrate")(calibrate)
app.command(name="classify")(classify)
app.command(name="reviews")(reviews)
app.command(name="plan")(plan)
app.command(name="top")(top)
app.command(name="trace")(trace)
app.command(name="simulate")(simulate)
app.command(name="wait")(wait)


class ServiceName(StrEnum):
    """The services."""

    orchestrator = "orchestrator"
    classifier = "classifier"
    inference = "inference"
    fusion = "fusion"


class LogFormatName(StrEnum):
    """Forms of logs."""

    json = "json"
    console = "console"


class LogLevelName(StrEnum):
    """Levels of logs."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


Listen = Annotated[str, typer.Option(help="Address of the orchestrator, HOST:PORT; port 0 takes a free one.")]
Model = Annotated[
    str, typer.Option(help="smollm2 (135 million parameters), a GGUF file, or hf:ORG/REPO/FILE.gguf.")
]
TritonUrl = Annotated[
    list[str] | None,
    typer.Option(
        help="gRPC address of a Triton that runs already, HOST:PORT; none is started then. "
        "TIER=HOST:PORT, once for each tier, where tiers have a Triton of their own.",
        metavar="[TIER=]HOST:PORT",
    ),
]
Separate = Annotated[
    bool, typer.Option("--separate", help="Every service its own process, gRPC over loopback.")
]
Ledger = Annotated[
    str | None,
    typer.Option(
        show_default="ledger.sqlite in the state folder",
        help="SQLAlchemy URL of the database that every attempt is booked in; none: nothing is.",
    ),
]
Document = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, show_default=False)]


@app.command()
def serve(
    service: Annotated[ServiceName, typer.Argument(help="Which service.")],
    settings: Annotated[bool, typer.Option("--settings", help="List its settings and leave.")] = False,
) -> None:
    """Run one service in the foreground; its settings are environment variables."""
    from importlib import import_module

    from tandem.cli.settings import exit_on_bad_settings, print_settings

    if settings:
        print_settings(service.value)
        return
    with exit_on_bad_settings(service.value):
        import_module(f"tandem.{service.value}.__main__").main()


@app.command()
def up(
    separate: Separate = False,
    listen: Listen = "127.0.0.1:50051",
    catalogue: Document = None,
    policy: Document = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Hashes of API keys; with it, every request needs a key."
        ),
    ] = None,
    r1_model: Model = DEFAULT_SOURCE,
    pro_model: Model = DEFAULT_SOURCE,
    triton_url: TritonUrl = None,
    ledger: Ledger = None,
    keep_prompts: Annotated[
        bool,
        typer.Option(
            "--keep-prompts", help="Keep the text of conversations in the ledger, to learn from them."
        ),
    ] = False,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the metrics for Prometheus, at /metrics; of the orchestrator's with --separate.",
            show_default="none",
        ),
    ] = "",
    otlp: Annotated[
        str,
        typer.Option(
            envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
            metavar="http://HOST:PORT",
            show_default="nothing is traced",
            help="Where spans of requests go, by OTLP over gRPC.",
        ),
    ] = "",
    log_format: Annotated[LogFormatName, typer.Option(help="Form of the logs.")] = LogFormatName.console,
    log_level: Annotated[
        LogLevelName, typer.Option(help="Least severe level that is logged.")
    ] = LogLevelName.info,
) -> None:
    """Start the whole system on this machine, with a real Triton; Ctrl-C stops it."""
    from tandem.cli.settings import exit_on_bad_tracing
    from tandem.cli.up import Options, run_up

    exit_on_bad_tracing()
    options = Options(
        separate,
        listen,
        catalogue,
        policy,
        keys,
        r1_model,
        pro_model,
        triton_url or [],
        ledger,
        keep_prompts,
        metrics,
        otlp,
        log_format.value,
        log_level.value,
    )
    raise typer.Exit(asyncio.run(run_up(options)))


@app.command()
def demo(separate: Separate = False) -> None:
    """Start the system, ask it three questions, show how each was answered, and stop."""
    from tandem.cli.demo import run_demo
    from tandem.cli.settings import exit_on_bad_tracing

    exit_on_bad_tracing()
    raise typer.Exit(asyncio.run(run_demo(separate)))


@app.command()
def ask(
    prompt: Annotated[
        str | None, typer.Argument(help="The question; absent or -: read from standard input.")
    ] = None,
    target: Target = LOCAL,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    tenant: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="TANDEM_API_KEY",
            help="The tenant's API key. Better in the environment: other users of this machine see options.",
        ),
    ] = None,
    tier: Annotated[str, typer.Option(help="The tier that must answer first.", show_default=False)] = "",
    variant: Annotated[str, typer.Option(help="The variant of that tier.", show_default=False)] = "",
    strategy: Annotated[str | None, typer.Option(help="route, cascade, ensemble or auto.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds the answer may take.", min=0.001)] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Cap on generated tokens.", min=1)] = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan and do not run it.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read the cache nor write it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Ask a question; the answer streams to standard output, how it came about goes to standard error.

    Exit status: 0 answered, 1 the request failed, 2 wrong usage.
    """
    from tandem.cli.ask import Question, run_ask

    if prompt is None or prompt == "-":
        if prompt is None and sys.stdin.isatty():
            raise typer.BadParameter("give a question, or pipe one to standard input", param_hint="PROMPT")
        prompt = sys.stdin.read()
    question = Question(
        prompt,
        Peer(target, tls(ca, cert, key, server_name)),
        tenant,
        api_key,
        tier,
        variant,
        strategy,
        deadline,
        max_tokens,
        system,
        no_cache,
    )
    raise typer.Exit(asyncio.run(run_ask(question, explain=explain, as_json=as_json)))


@app.command()
def forget(
    request_id: Annotated[
        str,
        typer.Argument(help="The request_id of an answer, or the source_request_id of one from the cache."),
    ],
    target: Target = LOCAL,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    tenant: Annotated[str | None, typer.Option(help="Whose request it was.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Remove an answer from the cache, so that the same question is answered anew.

    Exit status: 0 forgotten, 1 the cache held no such answer or the request failed, 2 wrong usage.
    """
    from tandem.cli.forget import run_forget

    raise typer.Exit(
        asyncio.run(
            run_forget(request_id, Peer(target, tls(ca, cert, key, server_name)), tenant, as_json=as_json)
        )
    )
