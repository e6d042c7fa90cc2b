"""Would catch: a simulator that misreads or silently ignores what a test told it to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator_engine.directives import FAULTS, DirectiveError, Directives, read_directives


def test_a_prompt_without_directives_gets_the_defaults() -> None:
    assert read_directives("[sim] and [[similar]] are just words", "r1") == Directives()


def test_directives_are_found_anywhere_and_later_ones_override() -> None:
    prompt = (
        "user: [[sim tokens=5 ttft_ms=1.5]] hello\nassistant: hi\nuser: [[sim tokens=7 fault=stall at=3]]"
    )
    assert read_directives(prompt, "r1") == Directives(tokens=7, ttft_ms=1.5, fault="stall", at=3)


def test_a_directive_for_one_model_leaves_the_others_alone() -> None:
    prompt = "[[sim:pro fault=hang]] [[sim:r1-int8 tokens=2]] [[sim tpot_ms=4]]"
    assert read_directives(prompt, "r1") == Directives(tpot_ms=4)
    assert read_directives(prompt, "pro") == Directives(tpot_ms=4, fault="hang")
    assert read_directives(prompt, "r1-int8") == Directives(tpot_ms=4, tokens=2)


def test_a_general_directive_overrides_an_earlier_one_for_a_model() -> None:
    assert read_directives("[[sim:pro tokens=1]][[sim tokens=2]]", "pro").tokens == 2


@given(st.text())
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert read_directives(f'[[sim text="{quoted}" at=1]]', "r1") == Directives(text=text, at=1)


def test_text_may_be_bare_and_negative_numbers_are_for_logprobs() -> None:
    assert read_directives("[[sim text=B logprob=-2.5]]", "r1") == Directives(text="B", logprob=-2.5)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_understood(fault: str) -> None:
    assert read_directives(f"[[sim fault={fault}]]", "r1").fault == fault


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("[[sim speed=3]]", "unknown directive 'speed'"),
        ("[[sim:pro speed=3]]", "unknown directive 'speed'"),
        ("[[sim fault=explode]]", "known are hang, stall"),
        ("[[sim garbage=paper]]", "known are utf8"),
        ("[[sim tokens=many]]", "not a number"),
        ("[[sim tokens=-1]]", "must not be negative"),
        ("[[sim ttft_ms=nan]]", "must not be negative"),
        ("[[sim tokens=3", "malformed directive"),
        ('[[sim text="open]]', "malformed directive"),
        ("[[sim tokens 3]]", "malformed directive"),
    ],
)
def test_what_is_not_understood_is_refused(prompt: str, said: str) -> None:
    with pytest.raises(DirectiveError, match=said.replace("[", r"\[")):
        read_directives(prompt, "r1")
