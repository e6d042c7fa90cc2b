"""Would catch: an engine's error that is taken for another kind, so that the wrong fallback answers or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import BackendError
from tandem.inference.failures import ROWS, Row, read_failure

PREFIX = "Failed to process the request(s) for model instance 'r1_0_0', message: "
RECORDED = Path(__file__).parents[2] / "testdata" / "engine_failures.json"
MESSAGES: dict[str, list[str]] = json.loads(RECORDED.read_text(encoding="utf-8"))
"""What the programs themselves say, in full, by the row of the table that it belongs to."""
OTHERS = [
    "unexpected shape for input 'text_input' for model 'r1'. Expected [1], got [2].",
    f"{PREFIX}ValueError: temperature must be non-negative, got -1.0.",
    "max_tokens must be at least 1, got 0.",
    "simulated engine failure: the prompt asked for fault=error",
    "a bloomy room",
    "the memory of an elephant",
    "",
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.form)
def test_a_row_reads_the_messages_of_its_form(row: Row) -> None:
    for message in MESSAGES[row.form]:
        error = read_failure("r1-int8", message)
        assert type(error) is row.kind, message
        assert error.message == f"r1-int8: {message}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.form)
def test_a_row_is_the_first_to_read_some_message(row: Row) -> None:
    firsts = [next(row.form for row in ROWS if row.pattern.search(said)) for said in MESSAGES[row.form]]
    assert row.form in firsts


def test_there_are_messages_for_every_row_and_no_other() -> None:
    assert MESSAGES.keys() == {row.form for row in ROWS}


@pytest.mark.parametrize("message", OTHERS)
def test_what_no_row_matches_is_an_error_that_another_model_would_not_repair(message: str) -> None:
    assert type(read_failure("r1", message)) is BackendError


_said = st.lists(
    st.sampled_from([message for messages in MESSAGES.values() for message in messages])
    | st.text(st.sampled_from("ab '\"`\\\n."), max_size=6),
    min_size=1,
    max_size=5,
).map("".join)


@given(_said)
def test_a_request_that_is_quoted_cannot_make_a_model_look_sick(text: str) -> None:
    quoting = [
        f"simulator: malformed directive {text[:60]!r}: write [[sim key=value ...]]",
        f"sampling parameter stop is {[text]!r} and must be a list of texts that are not empty",
        f"sampling parameter {text!r} is unknown: known are max_tokens, stop",
        f"{PREFIX}ValueError: Invalid value: {json.dumps(text)}",
        f"{PREFIX}UnicodeDecodeError: cannot read {text.encode()!r}",
    ]
    for message in quoting:
        assert type(read_failure("r1", message)) is BackendError, message
