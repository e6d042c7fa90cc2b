"""Would catch a mistake in an operator's file that passes, or that is reported at the wrong line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tandem.catalogue import Catalogue
from tandem.orchestrator.policy import Policy
from tandem.serving.keys import KeysDocument
from tandem.yaml_document import MAX_BYTES, Complaint, Document, DocumentError, Section, load


class Shelf(Section):
    """A section for tests."""

    width: float = Field(default=1.0, gt=0, le=2)
    """Metres."""
    label: str = ""
    """Shown."""


class Case(Document):
    """A document for tests."""

    version: Literal[1]
    """Of the format."""
    shelves: Mapping[str, Shelf] = {}
    """By name."""
    spare: Shelf | None = None
    """Not in use."""
    rows: tuple[Shelf, ...] = ()
    """In order."""
    from_place: str = Field(default="", alias="from")
    """A word that Python keeps for itself."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "case.yaml"


def problems(file: Path, text: str | bytes) -> list[str]:
    """Return what is wrong with a document, without the name of the file."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DocumentError) as caught:
        load(file, Case)
    assert str(caught.value) == "\n".join(f"{file}:{problem}" for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def read(file: Path, text: str) -> Case:
    file.write_text(text)
    return load(file, Case)


def test_a_valid_document_becomes_a_frozen_model(file: Path) -> None:
    case = read(file, "version: 1\nshelves: {top: {width: 2, label: '7'}}\nfrom: here\n")
    assert case.shelves["top"] == Shelf(width=2.0, label="7")
    assert case.from_place == "here"


def test_every_problem_is_reported_at_its_place_in_the_order_of_the_file(file: Path) -> None:
    text = (
        "version: 2\n"
        "shelves:\n"
        "  top:\n"
        "    width: 3\n"
        "    lable: x\n"
        "  low: [1]\n"
        "spare:\n"
        "  size: 1\n"
        "rows:\n"
        "  - {width: wide}\n"
        "  - {width: 0, label: 5}\n"
    )
    assert problems(file, text) == [
        "1:1: version: must be 1 (got 2)",
        "4:5: shelves.top.width: must be at most 2 (got 3)",
        "5:5: shelves.top.lable: is not known; did you mean label?",
        "6:3: shelves.low: must be a mapping (got a list)",
        "8:3: spare.size: is not known; known here: width, label",
        '10:6: rows[0].width: must be a number (got "wide")',
        "11:6: rows[1].width: must be above 0 (got 0)",
        "11:16: rows[1].label: must be text (got 5)",
    ]


def test_a_missing_field_is_reported_where_it_should_be(file: Path) -> None:
    assert problems(file, "# nothing\nrows: []\n") == ["2:1: version: is missing"]


def test_an_alias_of_a_field_is_its_name_in_the_document(file: Path) -> None:
    (found,) = problems(file, "version: 1\nfrom_place: x\n")
    assert found == "2:1: from_place: is not known; known here: version, shelves, spare, rows, from"


@pytest.mark.parametrize("value", ["true", "'1'", "1e1000", ".nan", "", "[1]"])
def test_types_are_not_converted(file: Path, value: str) -> None:
    (found,) = problems(file, f"version: 1\nspare:\n  width: {value}\n")
    assert found.startswith("3:3: spare.width: must be a ")


def test_a_long_value_is_shortened_in_the_message(file: Path) -> None:
    (found,) = problems(file, f"version: {'long ' * 100}\n")
    assert len(found) < 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 1\nrows: [\n", "3:1: is not valid YAML"),
        ("version: 1\n\tfrom: x\n", "2:1: is not valid YAML"),
        ("version: 1\n---\nversion: 1\n", "2:1: is not valid YAML"),
        ("version: *one\n", "1:10: is not valid YAML"),
        ("version: 1\nfrom: a\x01b\n", "2:8: has the character U+0001"),
        (b"version: 1\nfrom: \xff\n", "2:7: is not UTF-8"),
        ("# only a comment\n", "1:1: the document is empty"),
        ("%YAML 1.1\n---\nversion: 1\n", "1:1: must be YAML 1.2"),
        ("- 1\n", "1:1: must be a mapping"),
    ],
)
def test_what_is_no_document_is_reported_with_its_place(file: Path, text: str | bytes, expected: str) -> None:
    (found,) = problems(file, text)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("version: 1", "2:1: version: is given twice, first in line 1; keep one of them"),
        ("from: !!python/object:os.system x", "2:1: from: has the tag python/object:os.system"),
        ("from: !secret x", "2:1: from: has the tag !secret"),
        ("rows: !set []", "2:1: rows: has the tag !set"),
        ("<<: {from: x}", "2:1: merge keys are not supported"),
        ("? [a]\n: x", "2:3: a key must be plain text"),
        ("from: !!int x", "2:1: from: cannot be read as int"),
    ],
)
def test_what_a_document_may_not_have_is_refused(file: Path, line: str, expected: str) -> None:
    (found,) = problems(file, f"version: 1\n{line}\n")
    assert found.startswith(expected)


def test_problems_of_the_text_and_of_the_values_come_together(file: Path) -> None:
    found = problems(file, "version: 1\nversion: 1\nrows: 5\n")
    assert [line.split(": ")[1] for line in found] == ["version", "rows"]


def test_words_of_yaml_1_1_are_text(file: Path) -> None:
    assert read(file, "version: 1\nfrom: on\n").from_place == "on"
    assert read(file, "version: 1\nshelves: {123: {}, no: {}, 2026-11-23: {}}\n").shelves.keys() == {
        "123",
        "no",
        "2026-11-23",
    }


def test_an_alias_stands_for_its_value_and_its_problem_has_the_line_of_the_value(file: Path) -> None:
    assert read(file, "version: 1\nspare: &s {width: 2}\nrows: [*s, *s]\n").rows == (Shelf(width=2.0),) * 2
    assert problems(file, "version: 1\nspare: &s\n  width: 9\nrows: [*s]\n") == [
        "3:3: rows[0].width: must be at most 2 (got 9)",
        "3:3: spare.width: must be at most 2 (got 9)",
    ]


def test_aliases_cannot_blow_a_document_up(file: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "expands to more than" in problems(file, f"l0: &l0 [x]\n{levels}")[-1]
    assert "must not be nested" in problems(file, "rows: &a [*a]\n")[-1]


def test_depth_and_size_are_limited(file: Path) -> None:
    assert "is not valid YAML: maximum depth" in problems(file, "rows: " + "[" * 5000)[0]
    assert "is larger than" in problems(file, "#" * (MAX_BYTES + 1))[0]
    assert read(file, "version: 1\n" + "#" * (MAX_BYTES - len("version: 1\n"))).version == 1


def test_a_check_across_fields_is_reported_at_the_place_of_its_field(file: Path) -> None:
    def check(case: Case) -> Iterator[Complaint]:
        assert len(case.rows) == 2
        yield Complaint(("rows", 1, "label"), "must differ from the first")
        yield Complaint(("spare", "width"), "is needed")

    file.write_text("version: 1\nrows:\n  - {label: a}\n  - {width: 1, label: a}\nspare:\n  {}\n")
    with pytest.raises(DocumentError) as caught:
        load(file, Case, check)
    assert [str(problem) for problem in caught.value.problems] == [
        "4:16: rows[1].label: must differ from the first",
        "5:1: spare.width: is needed",
    ]


def test_a_file_that_cannot_be_read_is_not_a_bad_document(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(file, Case)


def test_the_revision_follows_the_meaning_and_not_the_layout(file: Path) -> None:
    first = read(file, "version: 1\nshelves: {a: {}, b: {}}\n").revision
    assert read(file, "# note\nshelves:\n  a: {width: 1.0}\n  b: {}\nversion: 1\n").revision == first
    assert read(file, "version: 1\nshelves: {b: {}, a: {}}\n").revision != first
    assert read(file, "version: 1\nshelves: {a: {width: 2}, b: {}}\n").revision != first
    assert len(first) == 12


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_a_document_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(DocumentError) as caught:
        load(file, Case)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in caught.value.problems)


# --- the reference documentation of the documents there are


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a value of a type may have in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from sections(argument)


def fields(model: type[BaseModel]) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each field of a document, at any depth, with its docstring."""
    for name, info in model.model_fields.items():
        yield info.alias or name, info.description
        for section in sections(info.annotation):
            yield from fields(section)


@pytest.mark.parametrize(
    ("model", "page"), [(Policy, "policy.md"), (Catalogue, "catalogue.md"), (KeysDocument, "tenants.md")]
)
def test_every_field_is_in_the_documentation_with_its_docstring(model: type[Document], page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    documented = [
        (name.strip(" `").split(".")[-1].split("[")[0], meaning.strip()) for name, _, meaning in rows
    ]
    assert documented == list(fields(model))
