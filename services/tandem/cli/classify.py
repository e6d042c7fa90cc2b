"""`tandem classify`: the signals of texts, without a server."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tandem.classifier.judge import Judge
    from tandem.cli.explaining import Explainer

Document = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, show_default="the deployment's", help="For --explain."),
]


def classify(
    text: Annotated[
        str | None,
        typer.Argument(
            help="What a user would ask; absent or -: read from standard input.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, show_default=False, help="Read the text, or the lines, from a file."
        ),
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="Read a request from every line, write a JSON object for every line."),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show also what the policy would do, with nothing known of the models."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    artifact: Annotated[
        Path | None,
        typer.Option(
            envvar="TANDEM_CLASSIFIER_ARTIFACT",
            dir_okay=False,
            show_default="the shipped one",
            help="What the classifier has learned.",
        ),
    ] = None,
    policy: Document = None,
    catalogue: Document = None,
) -> None:
    """Show what the classifier finds out about a text: how hard it is, its task, its domain, its language.

    No server is needed. With --jsonl, a line is one of:

    \b
    "TEXT"
    {"text": "TEXT"}
    {"messages": [{"role": "user", "text": "TEXT"}, ...]}

    The roles are system, user and assistant. Other fields, such as an id, are passed on; where one has the name of a
    signal, the signal takes its place. A line that is wrong gives {"error": "..."}, and the others go on.

    Exit status: 0 classified, 1 a line is wrong or the policy refuses the request, 2 wrong usage or a useless file.
    """  # noqa: D301  # the backslash keeps the lines below it apart
    from tandem.classifier.artifact import load_artifact
    from tandem.classifier.errors import ArtifactUnusable
    from tandem.classifier.judge import Judge
    from tandem.classifier.settings import DEFAULT_ARTIFACT
    from tandem.cli.explaining import Explainer
    from tandem.yaml_document import DocumentError

    if text not in (None, "-") and (file or jsonl):
        raise typer.BadParameter("give a text, or --file, or --jsonl with standard input", param_hint="TEXT")
    try:
        judge = Judge(load_artifact(artifact or DEFAULT_ARTIFACT))
        explainer = Explainer.of(policy, catalogue) if explain else None
    except (ArtifactUnusable, DocumentError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if jsonl:
        raise typer.Exit(asyncio.run(_lines(file, judge, explainer)))
    asked = text if text not in (None, "-") else _read(file)
    raise typer.Exit(asyncio.run(_one(asked or "", judge, explainer, as_json)))


def _read(file: Path | None) -> str:
    if file is None and sys.stdin.isatty():
        raise typer.BadParameter("give a text, or --file, or pipe one to standard input", param_hint="TEXT")
    content = file.read_bytes() if file else sys.stdin.buffer.read()
    return content.decode("utf-8", "replace").strip()


async def _one(text: str, judge: Judge, explainer: Explainer | None, as_json: bool) -> int:
    """Show the signals of one text. A coroutine, since plans are made on the clock of the event loop."""
    from tandem.classifier.classify import signals_of
    from tandem.cli.ask import show_error
    from tandem.cli.classified_lines import described, question
    from tandem.cli.report import show_plan, show_signals
    from tandem.errors import TandemError

    request = question(text)
    signals = signals_of(request, judge)
    if not explainer:
        print(json.dumps(described(signals), ensure_ascii=False)) if as_json else show_signals(signals)
        return 0
    try:
        explained = explainer.explain(request, signals)
    except TandemError as error:
        show_error(error, "", as_json)
        return 1
    print(json.dumps(described(signals, explained), ensure_ascii=False)) if as_json else show_plan(explained)
    return 0


async def _lines(file: Path | None, judge: Judge, explainer: Explainer | None) -> int:
    """Answer every line. A coroutine for the same reason."""
    from tandem.cli.classified_lines import answer_lines

    if file is None:
        return answer_lines(sys.stdin.buffer, sys.stdout, judge, explainer)
    with file.open("rb") as lines:  # nothing else runs in this loop
        return answer_lines(lines, sys.stdout, judge, explainer)
