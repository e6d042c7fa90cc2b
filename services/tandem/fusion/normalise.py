"""Brings answers in free text into a form in which equal answers are equal.

The last statement of a final answer is read: "The answer is B", "= 42", "答案是B", a LaTeX box. Without one the
whole text is if it is short, else its last line. What is found is a choice, yes or no, a number, a JSON value, or else
text; a question may want one form, or a label, a set or a program, which nobody could see from the answers alone.
docs/fusion.md has the decisions.
"""

from __future__ import annotations

import enum
import hashlib
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tandem.fusion.labels import named_label
from tandem.fusion.numbers import last_number, leading_number, only_number, written
from tandem.fusion.programs import program
from tandem.fusion.structured import items, json_value
from tandem.fusion.units import Quantity


class Kind(enum.Enum):
    """What kind of answer it is."""

    NOTHING = enum.auto()
    CHOICE = enum.auto()
    BOOLEAN = enum.auto()
    NUMBER = enum.auto()
    LABEL = enum.auto()
    SET = enum.auto()
    JSON = enum.auto()
    CODE = enum.auto()
    TEXT = enum.auto()
    LONG = enum.auto()
    EXACT = enum.auto()


@dataclass(frozen=True, slots=True)
class Normal:
    """An answer in comparable form: two answers are the same if kind and value are equal."""

    kind: Kind
    value: str
    quantity: Quantity | None = field(default=None, compare=False)
    """Of a number: what units and tolerance are applied to."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question wants; by default nothing is known of it."""

    kind: Kind | None = None
    """The form of its answers; what is of no other form does not vote. None: seen from the answer."""
    labels: tuple[str, ...] = ()
    numeric: bool = False
    """Whether it wants a number: then the last number of an answer that states nothing else counts."""
    exact: bool = False
    """Whether brackets, operators and case count in words: in mathematics `(1,2)` and `12` differ."""


NOTHING: Final = Normal(Kind.NOTHING, "")
STATEMENT_CHARACTERS: Final = 200
"""Of a statement of a final answer so much is read."""
MOST_STATEMENTS: Final = 32
"""Statements that are read, from the last one back."""
SHORT_CHARACTERS: Final = 80
"""Longest text that is an answer as a whole, and longest statement that is a label."""
TAIL_CHARACTERS: Final = 20_000
"""The end of an answer, where its statements are looked for."""
VALUE_CHARACTERS: Final = 256
"""Longest text that is compared as it is; of a longer one a digest stands for the rest."""
LONG_CHARACTERS: Final = 400
"""From so many characters on, a text that states nothing is long: nobody says it twice in the same words."""
JSON_CHARACTERS: Final = 200_000
"""Longest answer in which a JSON value is looked for."""
ANYTHING: Final = Wanted()

_DIRECT: Final = (Kind.SET, Kind.JSON, Kind.CODE, Kind.TEXT, Kind.LONG, Kind.EXACT)
_MARKUP: Final = re.compile(r"[*`$#]+|\\[()\[\],!; ]|\\(?:left|right|text|mathrm|mathbf)\b|\\(?=%)")
_FRACTION: Final = re.compile(r"\\[dt]?frac ?\{([^{}]{1,40})\} ?\{([^{}]{1,40})\}")
_BOXED: Final = re.compile(r"\\boxed ?\{([^{}]{1,200})\}")
_CUE: Final = re.compile(
    r"(?:answer|option|choice|result|conclusion|solution)s?(?: here| then| therefore)?"
    r"(?: ?[:=]| is| are| would be| should be)(?: ?:)?"
    r"|(?:option|choice|选项) ?(?=\(?[A-J]\b)|^="
    r"|答案(?:应该?)?(?:是|为|:|选)|应?选择?(?:项)?(?:是|为|:)?(?=[\s(]?[a-j])"
    r"|结果(?:是|为|:)|而是|因此是|等于|综上[,:]?",
    re.MULTILINE | re.IGNORECASE,
)
_FILLER: Final = re.compile(
    r"[\s:\"'“”]*(?:(?:option|choice|answer|clearly|therefore|simply|选项?)\b[\s:]*)?", re.IGNORECASE
)
_CHOICES: Final = re.compile(
    r"(?:\((?P<bracketed>[A-Ja-j])\)|(?P<letters>"
    r"[A-J](?:(?:, ?| ?、 ?| and |, and | ?和 ?)[A-HJ]){1,9}"  # B, D and E; but not: B, I think
    r"|A?B?C?D?E?F?G?H?(?<=[A-H])"  # ACD: only in order, so that BAD and CAB are words
    r"|[IJ]))"
    r"(?![\w'+*/^=-]|\s?[=+*/^])"
)
_CHOICE_ONLY: Final = re.compile(r"\s?[.):、,]|$")
_BOOLEAN: Final = re.compile(
    r"(?:(?P<yes>yes|true|correct|是的|是|对的|对|正确)|(?P<no>no|false|incorrect|不是|否|不对|错误|错的|错))(?=$|[\s,.;:!)—-]|。|、)",
    re.IGNORECASE,
)
_BOOLEAN_ONLY: Final = re.compile(r"(?:$|\s*[,.;:!)—。、-])")
_SENTENCE_END: Final = re.compile(r"(?<![0-9A-Ja-j])[.!?](?:\s|$)|[。;!?\n]")
_PUNCTUATION: Final = re.compile(r"[\s.,;:!?\"'“”‘’`()\[\]{}。、《》「」…_]+")
_NOT_THIS_BUT: Final = re.compile(r"not\b.{0,60}?\b(?:but|rather)\b|not\b.{0,200}", re.IGNORECASE)


def normalise(text: str, wanted: Wanted = ANYTHING) -> Normal:
    """Return the comparable form of an answer, in linear time; one of another form than is wanted says nothing."""
    if not text.strip():
        return NOTHING
    if wanted.labels or wanted.kind in _DIRECT:
        return _direct(text, wanted)
    found = _seen(text, wanted)
    return found if wanted.kind in (None, found.kind) else NOTHING


def _direct(text: str, wanted: Wanted) -> Normal:
    """Return the form that only the question can ask for."""
    if wanted.labels:
        kind, value = Kind.LABEL, named_label(text[-TAIL_CHARACTERS:], wanted.labels)
    elif wanted.kind is Kind.SET:
        kind, value = Kind.SET, items(text[-TAIL_CHARACTERS:])
    elif wanted.kind is Kind.JSON:
        kind, value = Kind.JSON, json_value(text[:JSON_CHARACTERS])
    elif wanted.kind is Kind.CODE:
        kind, value = Kind.CODE, program(text)
    elif wanted.kind is Kind.EXACT:
        kind, value = Kind.EXACT, text.strip()
    else:
        return _text(text, wanted.kind or Kind.TEXT)
    return Normal(kind, _cut(value)) if value else NOTHING


def _seen(text: str, wanted: Wanted) -> Normal:
    """Return the form that an answer shows."""
    if text.lstrip()[:1] in ("{", "[", "`") and (value := json_value(text[:JSON_CHARACTERS])):
        return Normal(Kind.JSON, _cut(value))
    answer = _plain(text[-TAIL_CHARACTERS:])
    if not answer:
        return NOTHING
    for reading in (_stated(answer, wanted.exact), _whole(answer), _last_line(answer)):
        if reading:
            return reading
    if (wanted.numeric or wanted.kind is Kind.NUMBER) and (number := last_number(answer.lower())) is not None:
        return _number(number)
    if wanted.exact and len(answer) <= LONG_CHARACTERS:
        return Normal(Kind.TEXT, _cut("".join(answer.split()).rstrip(".")))
    return _text(text, Kind.TEXT if len(text) < LONG_CHARACTERS else Kind.LONG)


def _plain(text: str) -> str:
    """Return the text without markup and in Unicode's compatibility form."""
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("⁄", "/")
    text = _FRACTION.sub(r"\1/\2", text)
    text = _BOXED.sub(r"\nanswer: \1\n", text).replace("####", "\nanswer: ")
    return _MARKUP.sub("", text).strip()


def _stated(answer: str, exact: bool) -> Normal | None:
    """Return the last statement that says a choice, a number or yes or no; else the last one that says a label."""
    label = None
    for statement in _statements(answer):
        if typed := _typed(statement):
            return typed
        if label is None and 0 < len(statement) <= SHORT_CHARACTERS:
            label = Normal(Kind.TEXT, "".join(statement.split())) if exact else _text(statement)
    return label


def _statements(answer: str) -> Iterator[str]:
    """Return what follows each cue, the last one first."""
    for cue in reversed(deque(_CUE.finditer(answer), MOST_STATEMENTS)):
        statement = answer[cue.end() : cue.end() + STATEMENT_CHARACTERS]
        statement = statement[_end(_FILLER, statement) :]
        statement = statement[_end(_NOT_THIS_BUT, statement) :].strip()
        ending = _SENTENCE_END.search(statement)
        yield statement[: ending.start()] if ending else statement


def _whole(answer: str) -> Normal | None:
    """Return what a short answer is, or the yes or no that a longer one begins with."""
    if len(answer) <= SHORT_CHARACTERS and "\n" not in answer:
        return _alone(answer)
    found = _BOOLEAN.match(answer)
    return _boolean(found) if found and _BOOLEAN_ONLY.match(answer, found.end()) else None


def _last_line(answer: str) -> Normal | None:
    _, _, line = answer.rpartition("\n")
    return _alone(line.strip()) if len(line) <= SHORT_CHARACTERS else None


def _alone(text: str) -> Normal | None:
    """Return the typed reading of a short text that has nothing around the answer but a choice's wording or a unit."""
    if "=" in text and (typed := _typed(text)):
        return typed
    if re.fullmatch("[a-j]", text):
        return Normal(Kind.CHOICE, text.upper())
    if (found := _CHOICES.match(text)) and _CHOICE_ONLY.match(text, found.end()):
        return _choice(found)
    if (found := _BOOLEAN.match(text)) and _BOOLEAN_ONLY.match(text, found.end()):
        return _boolean(found)
    number = only_number(text.lower())
    return None if number is None else _number(number)


def _typed(statement: str) -> Normal | None:
    """Return the choice, the yes or no, or the number that a statement begins with; of an equation, its right side."""
    subject = statement.rpartition("=")[2].strip()
    if (found := _CHOICES.match(subject)) and not _is_article(found, subject):
        return _choice(found)
    if found := _BOOLEAN.match(subject):
        return _boolean(found)
    number = leading_number(subject.lower())
    return None if number is None else _number(number)


def _is_article(found: re.Match[str], text: str) -> bool:
    """Tell whether a letter is a word of a sentence: `A cat`, `I think`."""
    return found["letters"] in ("A", "I") and re.match(r"\s\w", text[found.end() :]) is not None


def _choice(found: re.Match[str]) -> Normal:
    letters = found["bracketed"].upper() if found["bracketed"] else re.findall("[A-J]", found["letters"])
    return Normal(Kind.CHOICE, "".join(sorted(set(letters))))


def _boolean(found: re.Match[str]) -> Normal:
    return Normal(Kind.BOOLEAN, "yes" if found["yes"] else "no")


def _number(number: Quantity) -> Normal:
    return Normal(Kind.NUMBER, written(number.value), number)


def _text(text: str, kind: Kind = Kind.TEXT) -> Normal:
    short = len(text) <= TAIL_CHARACTERS  # Unicode's compatibility form may have 18 times as many characters
    folded = (unicodedata.normalize("NFKC", text) if short else text).casefold()
    value = _PUNCTUATION.sub(" ", folded).strip() or "".join(folded.split())
    return Normal(kind, _cut(value)) if value else NOTHING


def _cut(value: str) -> str:
    """Return a value as it is, or of a long one the beginning and a digest."""
    if len(value) <= VALUE_CHARACTERS:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{value[:VALUE_CHARACTERS]}… {digest}"


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0
