"""Directives: the words in a prompt that tell the simulator how to behave."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

_OPENING = re.compile(r"\[\[sim(?=[\s:\]])")
_DIRECTIVE = re.compile(
    r"""\[\[sim (?: : (?P<model>[\w.-]+) )?
        (?P<settings> (?: \s+ \w+ = (?: "[^"\\]*(?:\\.[^"\\]*)*" | [^\s\]"]+ ) )* )
        \s* \]\]""",
    re.VERBOSE | re.DOTALL,
)
_SETTING = re.compile(r'(\w+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s\]"]+))', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

FAULTS = ("hang", "stall", "slow", "oom", "error", "crash", "garbage")
GARBAGE = ("utf8", "dtype", "shape")


class DirectiveError(ValueError):
    """A directive could not be understood; the message says which and what is known."""


@dataclass(frozen=True, slots=True)
class Directives:
    """How one request is to be answered."""

    tokens: int = 16
    """Length of the whole default answer in tokens; `text` has its own length."""
    ttft_ms: float = 0.0
    """Time from arrival to the first token."""
    tpot_ms: float = 0.0
    """Time between two tokens."""
    text: str | None = None
    """The answer to give instead of the default text."""
    echo: str | None = None
    """The parameter of the request whose value is the answer."""
    chunk_chars: int = 0
    """Cut the answer into tokens of this many characters; 0 means at word boundaries."""
    logprob: float = -0.1
    """Log-probability of every token."""
    fault: str = ""
    """What goes wrong: one of FAULTS, or nothing."""
    at: int = 0
    """How many tokens of this request are made before the fault."""
    garbage: str = "utf8"
    """What `fault=garbage` breaks: one of GARBAGE."""


def read_directives(prompt: str, model: str) -> Directives:
    """Apply all directives of a prompt that concern a model, in order of appearance.

    Raises DirectiveError for a directive that is malformed or has an unknown key or value.
    """
    directives = Directives()
    if "[[sim" not in prompt:
        return directives
    for opening in _OPENING.finditer(prompt):
        match = _DIRECTIVE.match(prompt, opening.start())
        if match is None:
            raise DirectiveError(
                f"malformed directive {prompt[opening.start() : opening.start() + 60]!r}: "
                "write [[sim key=value ...]] or [[sim:model key=value ...]]"
            )
        changes = _settings(match["settings"])
        if match["model"] in (None, model):
            directives = replace(directives, **changes)
    return directives


def _settings(text: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, quoted, bare in _SETTING.findall(text):
        changes[key] = _value(key, bare or _unescape(quoted))
    return changes


def _unescape(quoted: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], quoted)


def _value(key: str, text: str) -> Any:
    kind = _KINDS.get(key)
    if kind is None:
        raise DirectiveError(f"unknown directive {key!r}: known are {', '.join(_KINDS)}")
    choices = _CHOICES.get(key)
    if choices and text not in choices:
        raise DirectiveError(f"directive {key}={text!r} is unknown: known are {', '.join(choices)}")
    try:
        value = kind(text)
    except ValueError:
        raise DirectiveError(f"directive {key}={text!r} is not a number") from None
    if key != "logprob" and kind is not str and not value >= 0:
        raise DirectiveError(f"directive {key}={text!r} must not be negative")
    return value


_KINDS: dict[str, type] = {
    field.name: str if field.default is None else type(field.default) for field in fields(Directives)
}
_CHOICES = {"fault": FAULTS, "garbage": GARBAGE}
