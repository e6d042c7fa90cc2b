"""Catches votes that break the rule of fusion: lost minorities, wrong weights, winners that depend on the order."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.fusion.fuse import FusionCore
from tandem.fusion.verdict import DISSENT_CHARACTERS
from tandem.protocols import Fusion
from tandem.v1 import fusion_pb2, types_pb2
from tests.fakes.calls import call

Given = tuple[str, str, float | None]
"""Tier, text, confidence."""
RELIABILITY = {"r1": 0.6, "pro": 0.9, "coin": 0.5, "liar": 0.2, "oracle": 1.0}


async def fuse(
    given_: list[Given],
    reliability: Mapping[str, float] = RELIABILITY,
    task: types_pb2.Task.ValueType = types_pb2.TASK_UNSPECIFIED,
) -> fusion_pb2.FuseResponse:
    core: Fusion = FusionCore(reliability)
    candidates = [
        fusion_pb2.Candidate(
            target=types_pb2.Target(tier=tier, variant="bf16"), text=text, confidence=confidence
        )
        for tier, text, confidence in given_
    ]
    return await core.fuse(fusion_pb2.FuseRequest(candidates=candidates, task=task), call())


async def test_majority_of_equals_wins_with_its_text_unchanged() -> None:
    response = await fuse([("r1", "  The answer is B. ", None), ("r1", "C", None), ("r1", "(B)", None)])
    assert response.text == "  The answer is B. "
    assert response.fusion.winner == 0
    assert response.fusion.agreement == pytest.approx(2 / 3)
    assert [ballot.normalised for ballot in response.fusion.ballots] == ["B", "C", "B"]
    assert not response.fusion.abstained


async def test_a_reliable_tier_outweighs_two_others() -> None:
    response = await fuse([("r1", "B", None), ("r1", "B", None), ("pro", "C", None)])
    assert response.text == "C"
    expected = math.log(9) / (math.log(9) + 2 * math.log(1.5))
    assert response.fusion.agreement == pytest.approx(expected)


async def test_weight_is_log_odds_by_confidence() -> None:
    response = await fuse(
        [("pro", "B", 1.0), ("pro", "B", 0.0), ("pro", "B", None), ("unheard-of", "B", 1.0)]
    )
    expected = [math.log(9), math.log(9) / 2, math.log(9) * 0.75, math.log(1.5)]
    assert [ballot.weight for ballot in response.fusion.ballots] == pytest.approx(expected)


async def test_reliability_is_clipped() -> None:
    response = await fuse([("liar", "A", 1.0), ("oracle", "B", 1.0)])
    assert [ballot.weight for ballot in response.fusion.ballots] == pytest.approx([0.0, math.log(99)])


async def test_text_is_that_of_the_heaviest_member() -> None:
    response = await fuse([("r1", "B, I guess", 0.2), ("r1", "B, surely", 0.9), ("r1", "A", 1.0)])
    assert (response.text, response.fusion.winner) == ("B, surely", 1)


async def test_ties_are_broken_by_the_order_given() -> None:
    response = await fuse([("r1", "B", 0.7), ("r1", "A", 0.7)])
    assert response.text == "B"
    assert response.fusion.agreement == pytest.approx(0.5)


async def test_dissent_keeps_every_minority_heaviest_first() -> None:
    response = await fuse(
        [("pro", "A", 1.0), ("coin", "D", 1.0), ("r1", "B", 0.1), ("r1", "C", 0.9), ("r1", "B", 0.1)]
    )
    dissent = response.fusion.dissent
    assert [lost.normalised for lost in dissent] == ["B", "C", "D"]
    assert [len(lost.targets) for lost in dissent] == [2, 1, 1]
    assert dissent[2].weight == 0
    assert dissent[0].weight == pytest.approx(
        sum(b.weight for b in response.fusion.ballots if b.normalised == "B")
    )


async def test_dissent_is_cut() -> None:
    response = await fuse([("pro", "A", None), ("r1", "word " * 2000, None)])
    assert len(response.fusion.dissent[0].text) == DISSENT_CHARACTERS


async def test_empty_candidate_has_no_vote_and_is_no_dissent() -> None:
    response = await fuse([("pro", "", 1.0), ("r1", "B", None), ("pro", " \n", 1.0)])
    assert response.text == "B"
    assert response.fusion.agreement == pytest.approx(1.0)
    assert [ballot.weight > 0 for ballot in response.fusion.ballots] == [False, True, False]
    assert not response.fusion.dissent


async def test_single_candidate_agrees_with_itself() -> None:
    response = await fuse([("r1", "Because the sky scatters blue light.", None)])
    assert response.fusion.agreement == 1.0
    assert not response.fusion.abstained


@pytest.mark.parametrize(
    ("given_", "winner"),
    [
        ([("pro", "", None), ("r1", " ", None)], 0),
        ([("pro", "", None), ("coin", "B", None), ("coin", "C", None)], 1),
    ],
    ids=["nothing usable", "nothing weighs"],
)
async def test_abstains_for_the_first_usable(given_: list[Given], winner: int) -> None:
    response = await fuse(given_)
    assert response.fusion.abstained
    assert (response.fusion.winner, response.text) == (winner, given_[winner][1])
    assert response.fusion.agreement == 0


async def test_a_question_of_mathematics_compares_last_numbers() -> None:
    texts = [
        "She gave away 5 of her dozen, and so it follows that what remains for her to keep must be 7 apples.",
        "7",
    ]
    given_: list[Given] = [("r1", text, None) for text in texts]
    assert len((await fuse(given_)).fusion.dissent) == 1
    assert not (await fuse(given_, task=types_pb2.TASK_MATHEMATICS)).fusion.dissent


ANSWERS = st.sampled_from(
    ["A", "The answer is B", "B", "42", "= 42", "1/2", "50%", "yes", "Paris", "", " "]
) | st.text(max_size=30)
CANDIDATES = st.lists(
    st.tuples(st.sampled_from([*RELIABILITY, "other"]), ANSWERS, st.none() | st.floats(0, 1, width=32)),
    min_size=1,
    max_size=12,
)


@given(CANDIDATES)
async def test_invariants(given_: list[Given]) -> None:
    response = await fuse(given_)
    fusion = response.fusion
    assert response.text == given_[fusion.winner][1]
    assert len(fusion.ballots) == len(given_)
    assert all(ballot.weight >= 0 for ballot in fusion.ballots)
    assert 0 <= fusion.agreement <= 1
    lost = sum(dissent.weight for dissent in fusion.dissent)
    total = sum(ballot.weight for ballot in fusion.ballots)
    assert total - lost == pytest.approx(fusion.agreement * total, abs=1e-4)
    usable = [ballot for ballot in fusion.ballots if ballot.normalised]
    chosen = 1 if usable else 0
    assert len(fusion.dissent) == len({(lost.normalised, lost.text) for lost in fusion.dissent})
    assert sum(len(lost.targets) for lost in fusion.dissent) <= max(len(usable) - chosen, 0)


@given(CANDIDATES, st.randoms(use_true_random=False))
async def test_order_decides_nothing_but_ties(given_: list[Given], random_: random.Random) -> None:
    before = (await fuse(given_)).fusion
    shuffled = list(given_)
    random_.shuffle(shuffled)
    after = (await fuse(shuffled)).fusion
    assert after.agreement == pytest.approx(before.agreement, abs=1e-6)
    weights = sorted((lost.weight for lost in before.dissent), reverse=True)
    winning = sum(b.weight for b in before.ballots) - sum(weights)
    if not weights or winning > weights[0] + 1e-4:
        assert after.ballots[after.winner].normalised == before.ballots[before.winner].normalised
