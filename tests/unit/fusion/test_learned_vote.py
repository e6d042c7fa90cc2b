"""Catches learned votes whose sums, probabilities, gates or choice of a panel are not those of the artifact."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.fusion.artifact import Artifact, Gate, Learned, Voice, load_artifact
from tandem.fusion.errors import ArtifactUnusable
from tandem.fusion.fuse import FusionCore, Learnt
from tandem.fusion.terms import Panel, of_group
from tandem.v1 import fusion_pb2, types_pb2

VOICES = ("pro", "r1", "mini")
WEIGHTS = {"any answer": -1.0, "r1": 0.5, "pro": 1.0, "r1 in domain legal": 2.0, "mini agrees with r1": 0.0}
WEIGHTS |= {"r1 agrees with mini": 1.5}


def panel(rule: str = "vote", voices: tuple[str, ...] = VOICES, unseen: str = "") -> Learned:
    """Return a panel whose weights can be added up by hand."""
    return Learned(
        name="test",
        voices=voices,
        reliability={voice: 0.8 - 0.1 * at for at, voice in enumerate(voices)},
        questions=100,
        contexts=("domain legal",),
        gate=Gate.model_validate({"rule": rule, "vote": 0.9, "best_single": 0.8, "unseen": unseen or rule}),
        weights=WEIGHTS,
    )


def core(*panels: Learned) -> FusionCore:
    """Return a core that has learned these panels."""
    return FusionCore(weighing=Learnt(Artifact(revision="of a test", panels=panels)))


def request(
    *said: tuple[str, str], domain: types_pb2.Domain.ValueType = types_pb2.DOMAIN_UNSPECIFIED
) -> fusion_pb2.FuseRequest:
    """Return what was said, by tier and text."""
    return fusion_pb2.FuseRequest(
        candidates=[
            fusion_pb2.Candidate(target=types_pb2.Target(tier=tier, variant="bf16"), text=text)
            for tier, text in said
        ],
        domain=domain,
    )


def test_score_is_the_sum_of_terms_and_probability_its_softmax_with_none() -> None:
    fusion = core(panel()).decide(request(("pro", "A"), ("r1", "B"), ("mini", "B"))).fusion
    scores = {group.normalised: group.score for group in fusion.groups}
    assert scores == pytest.approx({"A": 0.0, "B": 1.0})
    total = 1 + math.exp(0.0) + math.exp(1.0)
    assert fusion.expected_correctness == pytest.approx(math.e / total)
    assert fusion.rule == types_pb2.FUSION_RULE_LEARNED_VOTE
    assert {term.name: term.value for term in fusion.groups[0].terms} == pytest.approx(
        {"any answer": -1.0, "r1": 0.5, "r1 agrees with mini": 1.5}
    )
    assert fusion.artifact_revision == "of a test"


def test_context_moves_the_vote() -> None:
    said = (("pro", "A"), ("r1", "B"), ("mini", "C"))
    assert core(panel()).decide(request(*said)).text == "A"
    assert core(panel()).decide(request(*said, domain=types_pb2.DOMAIN_LEGAL)).text == "B"


def test_gate_lets_the_best_voice_that_says_something_answer() -> None:
    gated = core(panel("best_single"))
    decided = gated.decide(request(("r1", "B"), ("mini", "B"), ("pro", "A")))
    assert decided.text == "A"
    assert decided.fusion.rule == types_pb2.FUSION_RULE_BEST_SINGLE
    assert decided.fusion.expected_correctness == pytest.approx(1 / (2 + math.e))
    assert gated.decide(request(("mini", "C"), ("pro", ""), ("r1", "B"))).text == "B"


def test_in_a_field_that_nothing_is_known_of_another_gate_decides() -> None:
    said = (("pro", "A"), ("r1", "B"), ("mini", "B"))
    cautious = core(panel(unseen="best_single"))
    assert cautious.decide(request(*said, domain=types_pb2.DOMAIN_LEGAL)).text == "B"
    assert cautious.decide(request(*said, domain=types_pb2.DOMAIN_MEDICAL)).text == "A"
    assert cautious.decide(request(*said)).text == "A"


def test_other_voices_are_not_weighed_by_the_panel() -> None:
    strangers = core(panel()).decide(request(("pro", "A"), ("r1", "B"), ("stranger", "B"))).fusion
    assert strangers.rule == types_pb2.FUSION_RULE_RELIABILITY_VOTE
    four = panel(voices=("pro", "r1", "mini", "other"))
    alone = core(four).decide(request(("pro", "A"), ("r1", ""), ("mini", ""), ("other", ""))).fusion
    assert alone.rule == types_pb2.FUSION_RULE_RELIABILITY_VOTE


def test_the_smallest_panel_that_has_all_voices_decides() -> None:
    pair = panel("best_single", ("pro", "r1"))
    both = core(panel(), pair)
    assert both.decide(request(("pro", "A"), ("r1", "B"))).fusion.rule == types_pb2.FUSION_RULE_BEST_SINGLE
    three = both.decide(request(("pro", "A"), ("r1", "B"), ("mini", "B")))
    assert three.fusion.rule == types_pb2.FUSION_RULE_LEARNED_VOTE


ANSWERS = st.sampled_from(["A", "B", "the answer is C", "42", "Paris", ""])
SAID = st.tuples(ANSWERS, ANSWERS, ANSWERS)


@given(SAID, st.sampled_from(["pro", "stranger"]), st.integers(0, 3))
def test_an_empty_candidate_changes_nothing(said: tuple[str, str, str], tier: str, place: int) -> None:
    given_ = list(zip(VOICES, said, strict=True))
    if not any(said):
        return
    more = [*given_[:place], (tier, " "), *given_[place:]]
    before, after = core(panel()).decide(request(*given_)), core(panel()).decide(request(*more))
    assert after.text == before.text
    assert after.fusion.rule == before.fusion.rule
    assert after.fusion.agreement == pytest.approx(before.fusion.agreement)
    assert [group.score for group in after.fusion.groups] == [group.score for group in before.fusion.groups]


@given(SAID, st.randoms(use_true_random=False))
def test_order_decides_nothing_but_ties(said: tuple[str, str, str], random_: random.Random) -> None:
    given_ = list(zip(VOICES, said, strict=True))
    shuffled = list(given_)
    random_.shuffle(shuffled)
    before, after = core(panel()).decide(request(*given_)), core(panel()).decide(request(*shuffled))
    scores = [group.score for group in before.fusion.groups]
    assert [group.score for group in after.fusion.groups] == pytest.approx(scores)
    if len(scores) > 1 and scores[0] > scores[1] + 1e-6:
        assert after.fusion.groups[0].normalised == before.fusion.groups[0].normalised


def test_terms_are_named_once() -> None:
    known = Panel({"pro": 2.0, "r1": 1.0, "mini": 0.5}, frozenset("A"))
    names = [
        term.name for term in of_group(known, {"pro": 1, "r1": 1}, "A", ("domain legal", "category law"))
    ]
    assert len(names) == len(set(names))
    assert {"pro agrees with r1", "two voices", "r1 says A", "says A in category law"} <= set(names)


def test_voices_have_their_reliability_in_a_context() -> None:
    learned = Artifact(voices={"r1": Voice(questions=9, reliability=0.9, contexts={"domain legal": 0.6})})
    alone = FusionCore(weighing=Learnt(learned))
    said = request(("r1", "A"), domain=types_pb2.DOMAIN_LEGAL)
    assert alone.decide(said).fusion.expected_correctness == pytest.approx(0.6)
    assert alone.decide(request(("r1", "A"))).fusion.expected_correctness == pytest.approx(0.9)
    assert not FusionCore().decide(said).fusion.HasField("expected_correctness")


def test_artifact_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "fusion.json"
    file.write_text(Artifact(panels=(panel(),)).model_dump_json())
    assert load_artifact(file).panels[0] == panel()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2}', '{"panels": [{"name": "x"}]}', '{"unknown": 1}', "\x00"]
)
def test_what_is_no_artifact_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fusion.json"
    file.write_text(text)
    with pytest.raises(ArtifactUnusable, match="tandem train fusion"):
        load_artifact(file)


def test_a_missing_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnusable, match="cannot be read"):
        load_artifact(tmp_path / "none.json")
