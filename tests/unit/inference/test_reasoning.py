"""Would catch: reasoning that leaks into the answer, text that is lost by how the output was cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tandem.catalogue import ReasoningTags
from tandem.inference.reasoning import ReasoningSplitter

TAGS = ReasoningTags(open="<think>", close="</think>")
OPEN_TAGS = ReasoningTags(open="<think>", close="</think>", starts_open=True)

# What a model may write, and what of it is reasoning and what is text.
OUTPUTS = [
    ("<think>2+2\nis 4</think>\n\nFour.", "2+2\nis 4", "Four."),
    ("  \n<think>a</think>b", "a", "b"),
    ("<think></think>only text", "", "only text"),
    ("<think>量子 𝒬</think> 你好", "量子 𝒬", "你好"),
    ("no tags", "", "no tags"),
    ("  leading space stays", "", "  leading space stays"),
    ("The tag <think>x</think> is text here.", "", "The tag <think>x</think> is text here."),
    ("<thin air", "", "<thin air"),
    ("<think", "", "<think"),
    ("<", "", "<"),
    ("</think>closed first", "", "</think>closed first"),
    ("<think>never closed </thin", "never closed </thin", ""),
    ("<think>a < b </ c </think>d", "a < b </ c ", "d"),
    ("<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"),
    ("<think>a<think>b</think>c", "a<think>b", "c"),
    ("<think></</think>x", "</", "x"),
    ("<think>a</think>  \n ", "a", ""),
    ("<think>", "", ""),
    ("", "", ""),
    (" \n ", "", " \n "),
]
OPEN_OUTPUTS = [
    ("a</think>b", "a", "b"),
    ("</think>\nb", "", "b"),
    ("never closed", "never closed", ""),
    ("<think>a</think>b", "<think>a", "b"),
    ("", "", ""),
]


def split(
    pieces: list[str], tags: ReasoningTags | None = TAGS, *, continued: bool = False
) -> tuple[str, str]:
    splitter = ReasoningSplitter(tags, continued)
    parts = [*(splitter.feed(piece) for piece in pieces), splitter.end()]
    return "".join(p.reasoning for p in parts), "".join(p.text for p in parts)


@pytest.mark.parametrize(("output", "reasoning", "text"), OUTPUTS)
def test_every_cut_into_two_gives_the_same(output: str, reasoning: str, text: str) -> None:
    for cut in range(len(output) + 1):
        assert split([output[:cut], output[cut:]]) == (reasoning, text), f"cut at {cut}"


@pytest.mark.parametrize(("output", "reasoning", "text"), OUTPUTS)
def test_character_by_character_gives_the_same(output: str, reasoning: str, text: str) -> None:
    assert split(list(output)) == (reasoning, text)


@pytest.mark.parametrize(("output", "reasoning", "text"), OPEN_OUTPUTS)
def test_output_that_starts_inside_the_tags(output: str, reasoning: str, text: str) -> None:
    for cut in range(len(output) + 1):
        assert split([output[:cut], output[cut:]], OPEN_TAGS) == (reasoning, text), f"cut at {cut}"


@pytest.mark.parametrize("tags", [None, TAGS, OPEN_TAGS])
@pytest.mark.parametrize("output", [output for output, _, _ in OUTPUTS])
def test_a_continued_answer_is_all_text(output: str, tags: ReasoningTags | None) -> None:
    assert split(list(output), tags, continued=True) == ("", output)


@pytest.mark.parametrize("output", [output for output, _, _ in OUTPUTS])
def test_without_tags_all_is_text(output: str) -> None:
    assert split(list(output), None) == ("", output)


_fragment = st.sampled_from(
    ["<think>", "</think>", "<", "</", "thin", "think>", ">", " ", "\n", "a", "量", "𝒬"]
)


@given(
    st.lists(_fragment, max_size=12),
    st.lists(st.integers(0, 60), max_size=8),
    st.sampled_from([TAGS, OPEN_TAGS]),
)
@example(["<think>", "a", "</", "</think>", " ", "b"], [8, 9], TAGS)
def test_any_partition_gives_the_same(fragments: list[str], cuts: list[int], tags: ReasoningTags) -> None:
    output = "".join(fragments)
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    pieces = [output[a:b] for a, b in itertools.pairwise(edges)]
    assert split(pieces, tags) == split([output], tags)


@given(st.lists(_fragment, max_size=12))
def test_nothing_but_tags_and_the_gap_is_lost(fragments: list[str]) -> None:
    output = "".join(fragments)
    reasoning, text = split([output])
    if output.lstrip().startswith("<think>"):
        inside, closed, after = output.lstrip().removeprefix("<think>").partition("</think>")
        assert (reasoning, text) == (inside, after.lstrip() if closed else "")
    else:
        assert (reasoning, text) == ("", output)


def test_text_is_given_as_soon_as_it_is_certain() -> None:
    splitter = ReasoningSplitter(TAGS, continued=False)
    assert splitter.feed("<think>abc").reasoning == "abc"
    assert splitter.feed("d</thi").reasoning == "d"
    assert splitter.feed("s").reasoning == "</this"
    assert splitter.feed("</think>x").text == "x"
    assert splitter.feed("y").text == "y"


def test_an_answer_that_cannot_be_a_tag_is_not_held_back() -> None:
    splitter = ReasoningSplitter(TAGS, continued=False)
    assert splitter.feed("H").text == "H"
