"""`tandem keys`: make API keys and look at what a keys file has. What a command needs is imported when it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.call import NAME

if TYPE_CHECKING:
    from tandem.serving.keys import KeyEntry, KeysDocument

app = typer.Typer(help="Make API keys and check the files that list their hashes.", no_args_is_help=True)

File = Annotated[
    Path, typer.Argument(help="The file with the hashes.", exists=True, dir_okay=False, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _tenant(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise typer.BadParameter("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return value


@app.command()
def new(
    tenant: Annotated[str, typer.Argument(help="On whose behalf its holder asks.", callback=_tenant)],
    file: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Add the key's hash to this file; it is made if it is not there."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the key is for, 1 to 64 characters.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It goes to standard output, once: only its hash is kept.

    Without --file, standard error says what to add to a keys file.

    Exit status: 0 done, 1 the file has problems, 2 it cannot be read or written.
    """
    from pydantic import ValidationError

    from tandem.cli.keys_file import add_entry, line
    from tandem.serving.keys import KeyEntry, digest, new_key

    key = new_key()
    try:
        entry = KeyEntry(tenant=tenant, sha256=digest(key), name=name)
    except ValidationError:
        raise typer.BadParameter("must be 1 to 64 characters", param_hint="--name") from None
    if file is not None:
        with _exit_on_bad_file():
            add_entry(file, entry)
    if as_json:
        typer.echo(json.dumps({"key": key, **_described(entry)}, ensure_ascii=False))
        return
    typer.echo(key)
    where = f"Its hash was added to {file}." if file else f"Add its hash to the keys file:\n{line(entry)}"
    typer.echo(f"That is an API key of {tenant}; keep it, it is not shown again. {where}", err=True)


@app.command(name="list")
def list_keys(file: File, as_json: AsJson = False) -> None:
    """Show the keys of a file: whose they are, what they are for, and the first digits of their hashes.

    Exit status: 0 done, 1 the file has problems, 2 it cannot be read.
    """
    document = _read(file, as_json=False)
    if as_json:
        typer.echo(json.dumps({"keys": [_described(entry) for entry in document.keys]}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("tenant", "name", "sha256")
    for entry in document.keys:
        table.add_row(entry.tenant, escape(entry.name or "-"), f"{entry.sha256[:12]}…")
    Console().print(table)


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Check a keys file, and show every problem with its line and column.

    Exit status: 0 the file can be used, 1 it has problems, 2 it cannot be read.
    """
    document = _read(file, as_json=as_json)
    keys, tenants = len(document.keys), len({entry.tenant for entry in document.keys})
    if as_json:
        typer.echo(
            json.dumps({"ok": True, "file": str(file), "problems": [], "keys": keys, "tenants": tenants})
        )
    else:
        typer.echo(
            f"OK {file}: {keys} {'key' if keys == 1 else 'keys'} of {tenants} "
            f"{'tenant' if tenants == 1 else 'tenants'}"
        )


def _read(file: Path, *, as_json: bool) -> KeysDocument:
    from tandem.serving.keys import load_keys

    with _exit_on_bad_file(as_json):
        return load_keys(file)


@contextmanager
def _exit_on_bad_file(as_json: bool = False) -> Iterator[None]:
    from tandem.yaml_document import DocumentError

    try:
        yield
    except DocumentError as error:
        problems = [asdict(problem) for problem in error.problems]
        found = {"ok": False, "file": str(error.file), "problems": problems}
        typer.echo(json.dumps(found, ensure_ascii=False) if as_json else str(error), err=not as_json)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"cannot use {error.filename}: {error.strerror}; name a file that you may use", err=True)
        raise typer.Exit(2) from None


def _described(entry: KeyEntry) -> dict[str, Any]:
    return entry.model_dump(exclude_none=True)
