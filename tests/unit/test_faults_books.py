"""Would catch an amplification that counts the voices of an ensemble, or a ledger error that is not seen."""

from __future__ import annotations

from pathlib import Path

from fault_matrix.books import Books, Entries, compared, read_entries
from tandem.ledger.entry import Entry
from tandem.ledger.queries import ModelTokens, Which
from tandem.ledger.rows import rows_of
from tandem.ledger.schema import migrate, reading
from tandem.ledger.store import Store
from tandem.v1 import types_pb2
from tests.fakes.entries import Tokens, entry, url_of

R1 = {"r1": ModelTokens(100, 900), "pro": ModelTokens(0, 1000)}


def ensemble() -> Entry:
    made = entry("three voices", [Tokens(), Tokens(), Tokens("pro")])
    for attempt in made.answer.attempts:
        attempt.purpose = types_pb2.ATTEMPT_PURPOSE_VOTE
    return made


def test_the_voices_of_an_ensemble_count_as_one_attempt(tmp_path: Path) -> None:
    entries = [
        entry("one"),
        entry("with a fallback", [Tokens("pro"), Tokens()]),
        ensemble(),
        entry("none", []),
    ]
    migrate(url_of(tmp_path))
    store = Store(url_of(tmp_path))
    store.append([rows_of(each) for each in entries])
    store.close()

    with reading(url_of(tmp_path)) as connection:
        found = read_entries(connection, Which())

    assert (found.requests, found.attempts) == (4, 1 + 2 + 1)
    assert found.tokens == {"r1": ModelTokens(40, 80), "pro": ModelTokens(20, 40)}
    assert compared(found, None) == Books(amplification=1.0, ledger_error=None)


def test_a_ledger_that_agrees_has_no_error() -> None:
    grown = {("r1", "input"): 100, ("r1", "output"): 900, ("pro", "output"): 1000, ("r1-int8", "output"): 0}
    assert compared(Entries(10, 11, R1), grown) == Books(1.1, 0.0)


def test_what_one_model_has_too_much_does_not_make_up_for_what_another_lacks() -> None:
    grown = {("r1", "input"): 100, ("r1", "output"): 910, ("pro", "output"): 990}
    books = compared(Entries(10, 10, R1), grown)
    assert books.ledger_error == 20 / 2000
    assert len(books.words) == 2


def test_tokens_of_prompts_count_too_and_so_do_those_of_an_engine_that_made_none() -> None:
    assert (
        compared(Entries(10, 10, R1), {("r1", "output"): 900, ("pro", "output"): 1000}).ledger_error
        == 100 / 1900
    )
    assert compared(Entries(10, 10, R1), {}).ledger_error == 2000
    assert compared(Entries(0, 0, {}), {}) == Books(0.0, 0.0)
