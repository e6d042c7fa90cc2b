"""Would catch a shipped example that does not load, is not described, or does not do what its page says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tandem.catalogue import Catalogue, load_catalogue
from tandem.orchestrator.live import LiveModels
from tandem.orchestrator.planning import Planner
from tandem.orchestrator.policy import Policy, load_policy
from tandem.simulation import virtual_time
from tandem.v1 import types_pb2
from tests.fakes.calls import call, question

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "workflows"
NAMES = ("content_moderation", "customer_service", "legal_review", "medical_triage")
ROUTE, CASCADE, ENSEMBLE = (
    types_pb2.STRATEGY_ROUTE,
    types_pb2.STRATEGY_CASCADE,
    types_pb2.STRATEGY_ENSEMBLE,
)
MEDICAL, GENERAL = types_pb2.DOMAIN_MEDICAL, types_pb2.DOMAIN_GENERAL
DRAFT_AND_ANSWER = ["r1", "pro"]


@cache
def shipped(name: str) -> tuple[Catalogue, Policy]:
    catalogue = load_catalogue(ROOT / "deploy" / "catalogue.yaml")
    return catalogue, load_policy(FOLDER / f"{name}.yaml", catalogue)


def found(
    *,
    complexity: float = 5.0,
    r1_suffices: float = 0.9,
    domain: types_pb2.Domain.ValueType = GENERAL,
    confidence: float = 1.0,
    tokens: int = 20,
) -> types_pb2.Signals:
    return types_pb2.Signals(
        complexity=types_pb2.ScoreSignal(value=complexity, confidence=1.0),
        r1_suffices=types_pb2.ScoreSignal(value=r1_suffices, confidence=1.0),
        domain=types_pb2.DomainSignal(value=domain, confidence=confidence),
        context_tokens=tokens,
    )


def plan(
    name: str, signals: types_pb2.Signals | None, tenant: str = "anonymous", deadline: float | None = None
) -> types_pb2.Plan:
    """Plan by a shipped example, by default within its own deadline."""
    catalogue, policy = shipped(name)

    async def make() -> types_pb2.Plan:
        planner = Planner(catalogue, policy, LiveModels(catalogue, policy))
        seconds = policy.deadline.default_ms / 1000.0 if deadline is None else deadline
        return planner.plan(question(), signals, call(seconds, tenant=tenant)).plan

    return virtual_time.run(make())


def tiers(made: types_pb2.Plan) -> list[str]:
    return [attempt.target.tier for attempt in made.attempts]


def test_these_examples_are_shipped() -> None:
    assert sorted(file.stem for file in FOLDER.iterdir()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_rules_as_they_are_shipped(name: str) -> None:
    page = (ROOT / "docs" / "workflows.md").read_text()
    text = (FOLDER / f"{name}.yaml").read_text()
    rules = text[text.index("\nrules:\n") : text.index("\nensemble:\n")].strip()
    assert f"deploy/workflows/{name}.yaml" in page
    assert f"```yaml\n{rules}\n```" in page
    for rule in shipped(name)[1].rules:
        assert f'"rule": "{rule.name}"' in page


# --- customer service


@pytest.mark.parametrize(
    ("signals", "rule", "tier"),
    [
        (found(complexity=3.9, r1_suffices=0.1), "simple", "r1"),
        (found(complexity=5.5, r1_suffices=0.9), "complex", "pro"),
        (found(complexity=5.0, r1_suffices=0.9), "", "r1"),
        (found(complexity=5.0, r1_suffices=0.1), "", "pro"),
        (None, "", "r1"),
    ],
)
def test_simple_questions_of_customers_go_to_r1_and_complex_ones_to_pro(
    signals: types_pb2.Signals | None, rule: str, tier: str
) -> None:
    made = plan("customer_service", signals)
    assert (made.rule, made.strategy, tiers(made)) == (rule, ROUTE, [tier])
    assert not made.review_required


# --- medical triage


@pytest.mark.parametrize("signals", [None, found(), found(domain=MEDICAL), found(complexity=0.0)])
def test_no_request_of_the_clinic_is_missed(signals: types_pb2.Signals | None) -> None:
    made = plan("medical_triage", signals, "clinic")
    assert (made.rule, made.strategy, tiers(made)) == ("triage", CASCADE, DRAFT_AND_ANSWER)
    assert made.review_required
    assert (made.gate.threshold, made.gate.refine) == (1.0, True)


@pytest.mark.parametrize(("confidence", "rule"), [(0.5, "medical"), (0.4, "")])
def test_medical_questions_of_others_go_to_pro_and_are_reviewed(confidence: float, rule: str) -> None:
    made = plan("medical_triage", found(domain=MEDICAL, r1_suffices=0.9, confidence=confidence))
    assert (made.rule, made.review_required) == (rule, bool(rule))
    assert tiers(made) == ["pro" if rule else "r1"]


def test_triage_that_has_no_time_for_two_models_is_reviewed_all_the_same() -> None:
    made = plan("medical_triage", found(), "clinic", deadline=1.0)
    assert (made.strategy, tiers(made), made.review_required) == (ROUTE, ["r1"], True)


# --- legal review


@pytest.mark.parametrize(
    ("signals", "rule", "strategy", "who", "review"),
    [
        (found(tokens=300), "document", ENSEMBLE, ["pro", "pro", "r1"], True),
        (found(tokens=299), "question", ROUTE, ["pro"], False),
        (None, "question", ROUTE, ["pro"], False),
    ],
)
def test_several_read_a_document_and_pro_answers_questions(
    signals: types_pb2.Signals | None,
    rule: str,
    strategy: types_pb2.Strategy.ValueType,
    who: list[str],
    review: bool,
) -> None:
    made = plan("legal_review", signals, "law-office")
    assert (made.rule, made.strategy, tiers(made), made.review_required) == (rule, strategy, who, review)


# --- content moderation


@pytest.mark.parametrize("signals", [None, found()])
def test_posts_are_drafted_thrice_and_drawn_so_that_they_can_be_kept(
    signals: types_pb2.Signals | None,
) -> None:
    made = plan("content_moderation", signals)
    assert (made.rule, made.strategy, tiers(made)) == ("post", CASCADE, ["r1", "r1", "r1", "pro"])
    assert [attempt.sampling.temperature for attempt in made.attempts] == pytest.approx([0, 0.7, 0.7, 0])
    assert not made.review_required


@pytest.mark.parametrize("signals", [None, found()])
def test_appeals_go_to_pro_and_to_a_person(signals: types_pb2.Signals | None) -> None:
    made = plan("content_moderation", signals, "appeals")
    assert (made.rule, made.strategy, tiers(made), made.review_required) == ("appeal", ROUTE, ["pro"], True)
