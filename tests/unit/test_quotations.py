"""Would catch a word of a request that an error quotes, left in what is logged; and a message that loses the rest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.quotations import without_quotations


@given(st.text())
def test_what_is_quoted_is_gone(said: str) -> None:
    for quoted in (repr(said), repr(said.encode("utf-8", "replace")), json.dumps(said), repr([said, said])):
        left = "[…, …]" if quoted.startswith("[") else "…"
        message = "sampling parameter stop is {} and must be shorter; send another"
        assert without_quotations(message.format(quoted)) == message.format(left)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "the client can't wait any longer; it's gone",
        "r1/fp16 failed too often and gets no requests for a while; retry later",
    ],
)
def test_the_rest_stays(message: str) -> None:
    assert without_quotations(message) == message
