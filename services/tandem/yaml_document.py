"""YAML documents that operators write: read strictly, with every problem placed by line and column.

YAML 1.2, UTF-8, one document per file. Keys are text and unique; aliases expand up to a bound; tags and merge
keys are refused, so that a document means what it says.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES: Final = 1024 * 1024
MAX_VALUES: Final = 20_000
"""Values of a document after its aliases are expanded."""
MAX_DEPTH: Final = 32

Location = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value."""


class Complaint(NamedTuple):
    """What a check across fields finds wrong, before it is known where in the file that is."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a document; line and column count from 1."""

    line: int
    column: int
    path: str
    """Path of the value, such as `fallbacks[2].to`; empty: the document as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.line}:{self.column}", self.path, self.message) if part)


class DocumentError(Exception):
    """A file does not hold the document it should; `problems` has all of them in the order of the file."""

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems)
        super().__init__("\n".join(f"{file}:{problem}" for problem in self.problems))


class Section(BaseModel):
    """A mapping in a document: immutable, with no other keys than its fields, and no conversion of types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Document(Section):
    """The root mapping of a document."""

    @cached_property
    def revision(self) -> str:
        """Twelve hexadecimal digits that change when the meaning changes, and not with comments or layout."""
        # Keys keep their order: that of variants has a meaning.
        content = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:12]


D = TypeVar("D", bound=Document)


def load(path: Path, model: type[D], check: Callable[[D], Iterable[Complaint]] = lambda _: ()) -> D:
    """Read a document and validate it.

    `check` looks across the fields of a document that is valid field by field. Raises `DocumentError` with
    all problems at once, and `OSError` if the file cannot be read.
    """
    tree = _parse(path)
    try:
        document = model.model_validate(tree.data)
    except ValidationError as error:
        tree.problems += _problems(error, model, tree)
        raise DocumentError(path, tree.problems) from None
    tree.problems += [tree.problem(location, message) for location, message in check(document)]
    if tree.problems:
        raise DocumentError(path, tree.problems)
    return document


# --- YAML to plain values


@dataclass(slots=True)
class _Tree:
    """Plain values, and where each stands: at its key in a mapping, at its start in a list."""

    file: Path
    data: object = None
    places: dict[Location, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Location] = field(default_factory=set)
    """Places of values that could not be read; validating those would only repeat the problem."""

    def problem(self, location: Location, message: str) -> Problem:
        known = location
        while known not in self.places:
            known = known[:-1]
        return Problem(*self.places[known], _dotted(location), message)

    def complain(self, mark: Any, location: Location, message: str) -> None:
        self.problems.append(Problem(mark.line + 1, mark.column + 1, _dotted(location), message))

    def fail(self, location: Location, message: str) -> DocumentError:
        return DocumentError(self.file, [*self.problems, self.problem(location, message)])

    def build(self, node: Node, mark: Any, location: Location) -> object:
        """Turn a node into plain values; `mark` is where people look for it."""
        self.places[location] = (mark.line + 1, mark.column + 1)
        if len(self.places) > MAX_VALUES:
            raise self.fail(location, f"the document expands to more than {MAX_VALUES} values from here on")
        if len(location) > MAX_DEPTH:
            raise self.fail(location, f"must not be nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, MappingNode) and _kind(node) == "map":
            return self._mapping(node, location)
        if isinstance(node, SequenceNode) and _kind(node) == "seq":
            items = enumerate(node.value)
            # Strict validation takes a tuple for a tuple, and nothing else.
            return tuple(self.build(item, item.start_mark, (*location, index)) for index, item in items)
        return self._scalar(node, location)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or _kind(key).startswith("!"):
                self.complain(key.start_mark, location, "a key must be plain text")
            elif _kind(key) == "merge":
                self.complain(key.start_mark, location, "merge keys are not supported; write the keys out")
            elif key.value in values:
                first = self.places[(*location, key.value)][0]
                message = f"is given twice, first in line {first}; keep one of them"
                self.complain(key.start_mark, (*location, key.value), message)
            else:
                values[key.value] = self.build(value, key.start_mark, (*location, key.value))
        return values

    def _scalar(self, node: Node, location: Location) -> object:
        kind = _kind(node)
        if isinstance(node, ScalarNode) and kind in _SCALARS:
            try:
                return _SCALARS[kind](node.value)
            except (ValueError, KeyError):
                message = f"cannot be read as {kind}"
        else:
            message = f"has the tag {kind}; tags are not supported, remove it"
        self.problems.append(self.problem(location, message))
        self.unread.add(location)
        return None


def _kind(node: Node) -> str:
    """Return the tag of a node, without the prefix that YAML's own tags share."""
    return str(node.tag).removeprefix("tag:yaml.org,2002:")


def _integer(text: str) -> int:
    plain = text.replace("_", "").lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(plain.lstrip("+-")[:2], 10)
    return int(plain, base)


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: Final[Mapping[str, Callable[[str], object]]] = {
    "str": str,
    "timestamp": str,
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": _float,
}


def _parse(path: Path) -> _Tree:
    text = _text(path)
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise _syntax_error(path, error) from None
    except ReaderError as error:
        message = f"has the character U+{error.character:04X}, which YAML does not allow"
        raise DocumentError(path, [_problem_at(text[: error.position], message)]) from None
    if root is None:
        raise DocumentError(path, [Problem(1, 1, "", "the document is empty")])
    tree = _Tree(path)
    if yaml.resolver.processing_version != (1, 2):
        raise DocumentError(path, [Problem(1, 1, "", "must be YAML 1.2; remove the %YAML line")])
    tree.data = tree.build(root, root.start_mark, ())
    return tree


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DocumentError(path, [Problem(1, 1, "", f"is larger than {MAX_BYTES} bytes")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        raise DocumentError(path, [_problem_at(before, "is not UTF-8 from here on")]) from None


def _problem_at(before: str, message: str) -> Problem:
    """Place a problem at the character that follows `before`."""
    return Problem(before.count("\n") + 1, len(before) - before.rfind("\n"), "", message)


def _syntax_error(path: Path, error: MarkedYAMLError) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    message = " ".join(part for part in (error.context, error.problem) if part)
    return DocumentError(path, [Problem(mark.line + 1, mark.column + 1, "", f"is not valid YAML: {message}")])


# --- plain values to a model

_MESSAGES: Final[Mapping[str, str]] = {
    "bool_type": "must be true or false",
    "decimal_max_places": "must have at most {decimal_places} decimal places",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
"""Wordings for pydantic's kinds of error; the value that was given is added."""

_SHOWN_CHARACTERS: Final = 40


def _problems(error: ValidationError, model: type[BaseModel], tree: _Tree) -> Iterator[Problem]:
    for details in error.errors(include_url=False):
        # pydantic counts only valid entries, and each of the others has a problem of its own.
        if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
            continue
        location = tuple(part for part in details["loc"] if part != "[key]")
        if location not in tree.unread:
            yield tree.problem(location, _message(details, model, location))


def _message(details: ErrorDetails, model: type[BaseModel], location: Location) -> str:
    kind, context = details["type"], details.get("ctx", {})
    given = details["input"]
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return _unknown_key(str(location[-1]), _known_keys(model, location[:-1]))
        case "too_short":
            return f"has too few entries: {context['min_length']} or more are needed (got {len(given)})"
        case "too_long":
            return f"has too many entries: {context['max_length']} are the most (got {len(given)})"
        case "value_error":
            return str(context["error"])
    limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
    wording = _MESSAGES[kind].format_map(limits) if kind in _MESSAGES else details["msg"]
    return f"{wording} (got {_shown(given)})"


def _unknown_key(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"is not known; {hint}"


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """Names of the fields of the section at a location, as they are written in the document."""
    annotation: Any = model
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = _fields(annotation)[str(part)]
        else:  # a mapping of names to sections, or a list of them
            annotation = next(item for item in reversed(get_args(annotation)) if item is not Ellipsis)
        if type(None) in get_args(annotation):
            annotation = get_args(annotation)[0]
    return list(_fields(annotation))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the annotations of a section's fields by their names in the document."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _dotted(location: Location) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")
