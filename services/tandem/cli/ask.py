"""`tandem ask`: one question, its answer as it streams, and how it came about."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tandem.cli.peer import Peer
from tandem.cli.report import Screen, show_answer, show_plan
from tandem.client import Client, user
from tandem.errors import BackendUnavailable, TandemError, UnknownApiKey
from tandem.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know, of whom, and how."""

    prompt: str
    peer: Peer
    tenant: str | None
    api_key: str | None = field(repr=False)
    tier: str
    variant: str
    strategy: str | None
    deadline_seconds: float | None
    max_tokens: int | None
    system: str | None
    no_cache: bool

    def messages(self) -> list[types_pb2.Message]:
        """Return the conversation."""
        system = types_pb2.Message(role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text=self.system or "")])
        return [*([system] if self.system else []), user(self.prompt)]

    def options(self) -> Mapping[str, Any]:
        """Return the further fields of the request."""
        return {
            "tier": self.tier,
            "variant": self.variant,
            "no_cache": self.no_cache,
            # What a pipe was given cannot be taken back.
            "no_revisions": not sys.stdout.isatty(),
            "strategy": _strategy(self.strategy),
            "sampling": types_pb2.Sampling(max_tokens=self.max_tokens),
            "deadline_seconds": self.deadline_seconds,
        }


def _strategy(name: str | None) -> types_pb2.Strategy.ValueType:
    if name is None:
        return types_pb2.STRATEGY_UNSPECIFIED
    known = [word.removeprefix("STRATEGY_").lower() for word in types_pb2.Strategy.keys()[1:]]
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--strategy")
    return types_pb2.Strategy.Value(f"STRATEGY_{name.upper()}")


async def run_ask(question: Question, *, explain: bool, as_json: bool) -> int:
    """Ask and show the answer; return the exit status."""
    options = question.options()
    try:
        async with question.peer.client(question.tenant, question.api_key) as client:
            if explain:
                explained = await client.explain(question.messages(), **options)
                _print_json(explained) if as_json else show_plan(explained)
            elif as_json:
                _print_json(await client.ask(question.messages(), **options))
            else:
                show_answer(await stream_to_screen(client, question.messages(), options))
    except TandemError as error:
        show_error(error, question.peer.target, as_json)
        return 1
    return 0


async def stream_to_screen(
    client: Client, messages: list[types_pb2.Message], options: Mapping[str, Any]
) -> types_pb2.Answer:
    """Show an answer on the terminal while it comes; return it."""
    stream, screen = client.stream(messages, **options), Screen(sys.stdout)
    try:
        async for event in stream:
            screen.show(event)
    finally:
        screen.end()
    return stream.answer


def _print_json(message: Message) -> None:
    print(json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False))


def show_error(error: TandemError, target: str, as_json: bool) -> None:
    """Say what failed: on standard error, and as a JSON object if that is wanted."""
    hint = ""
    if isinstance(error, BackendUnavailable) and "request_id" not in error.details.metadata:
        hint = f"; is a system running at {target}? start one with `tandem up`"
    elif isinstance(error, UnknownApiKey):
        hint = "; `tandem ask` sends the key in the environment variable TANDEM_API_KEY"
    if as_json:
        described = {"code": error.code.name, "reason": error.reason, "message": error.message}
        print(
            json.dumps({"error": {**described, "metadata": dict(error.details.metadata)}}, ensure_ascii=False)
        )
    typer.echo(f"{error.reason}: {error.message}{hint}", err=True)
