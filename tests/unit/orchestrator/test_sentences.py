"""Would catch: an answer cut within a number, a name or a quotation, in English or in Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.orchestrator.sentences import end_of_last_sentence


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two", "One."),
        ("One! Two? Three", "One! Two?"),
        ("Pi is 3.14 or", ""),
        ("See example.com for", ""),
        ('He said "no." Then', 'He said "no."'),
        ("(It works.) And", "(It works.)"),
        ("你好。世界", "你好。"),
        ("真的吗？！是的", "真的吗？！"),
        ("他说：“走吧。”然后", "他说：“走吧。”"),
        ("第一；第二", "第一；"),
        ("- one\n- two", "- one\n"),
        ("Hmm… well", "Hmm…"),
        ("Wait... and", "Wait..."),
        ("", ""),
        ("。", "。"),
    ],
)
def test_where_a_text_may_end_while_more_comes(text: str, kept: str) -> None:
    assert text[: end_of_last_sentence(text, complete=False)] == kept


@pytest.mark.parametrize("text", ["It is so.", "Is it?", "完。", 'He said "yes."', "Done!"])
def test_a_sentence_at_the_very_end_counts_when_nothing_follows(text: str) -> None:
    assert end_of_last_sentence(text, complete=True) == len(text)


def test_a_full_stop_at_the_end_of_what_is_known_so_far_may_be_a_point() -> None:
    assert end_of_last_sentence("It costs 3.", complete=False) == 0


@given(st.text(), st.booleans())
def test_it_is_a_place_in_the_text(text: str, complete: bool) -> None:
    assert 0 <= end_of_last_sentence(text, complete) <= len(text)
