"""Would catch a rule of the policy that is wrong and is not refused, or refused without saying what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.catalogue import Catalogue, load_catalogue
from tandem.orchestrator.policy import Policy, load_policy
from tandem.yaml_document import DocumentError

DEPLOY = Path(__file__).parents[2] / "deploy"
NONE = "rules: []\n"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(DEPLOY / "catalogue.yaml")


def with_rules(tmp_path: Path, catalogue: Catalogue, rules: str) -> Policy:
    """Read the shipped policy with these rules."""
    text = (DEPLOY / "policy.yaml").read_text()
    assert NONE in text
    file = tmp_path / "policy.yaml"
    file.write_text(text.replace(NONE, f"rules: {rules}\n"))
    return load_policy(file, catalogue)


@pytest.mark.parametrize(
    ("rules", "path", "message"),
    [
        ("[{name: Big}]", "rules[0].name", "must match"),
        ("[{when: {tenants: [a]}}]", "rules[0].name", "is missing"),
        (
            "[{name: a, when: {domain: [legal]}}]",
            "rules[0].when.domain",
            "is not known; did you mean domains?",
        ),
        (
            "[{name: a, when: {domains: [law]}}]",
            "rules[0].when.domains[0]",
            "must be 'general'",
        ),
        (
            "[{name: a, when: {tasks: [sums]}}]",
            "rules[0].when.tasks[0]",
            "must be 'creative'",
        ),
        (
            "[{name: a, when: {languages: [zh-CN]}}]",
            "rules[0].when.languages[0]",
            "must match",
        ),
        ("[{name: a, review: optional}]", "rules[0].review", "must be 'required'"),
        ("[{name: a, strategy: vote}]", "rules[0].strategy", "must be 'route', 'cascade'"),
        (
            "[{name: a, when: {complexity_from: 6, complexity_below: 6}}]",
            "rules[0].when.complexity_below",
            "must be above complexity_from, 6",
        ),
        ("[{name: a, tier: max}]", "rules[0].tier", "there is no tier 'max'"),
        (
            "[{name: a, strategy: ensemble, voices: [r1, r1/bf16]}]",
            "rules[0].voices[1]",
            "tier 'r1' has no variant 'bf16'",
        ),
        (
            "[{name: a, voices: [r1, pro]}]",
            "rules[0].voices",
            "has a meaning under ensemble, and the strategy is route",
        ),
        (
            "[{name: a, strategy: cascade, tier: r1}]",
            "rules[0].tier",
            "has a meaning under route, and the strategy is cascade",
        ),
        (
            "[{name: a, when: {tenants: [b]}}, {name: a}]",
            "rules[1].name",
            "is already the name of rules[0]; give each its own",
        ),
        (
            "[{name: a}, {name: b}]",
            "rules[0].when",
            "is for all requests, so that no rule after it ever holds; put it last",
        ),
        (
            "[{name: a, cascade: {template: x}}]",
            "rules[0].cascade.template",
            "must have {draft} in it, once",
        ),
        ("[{name: a, sampling: {top_p: 0}}]", "rules[0].sampling.top_p", "must be above 0"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, catalogue: Catalogue, rules: str, path: str, message: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        with_rules(tmp_path, catalogue, rules)
    (problem,) = caught.value.problems
    text = (DEPLOY / "policy.yaml").read_text().splitlines()
    assert (problem.line, problem.path) == (text.index(NONE.strip()) + 1, path)
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    "rules",
    [
        "[]",
        "[{name: a, when: {tenants: [x]}, tier: r1/int8}, {name: b}]",
        "[{name: a, when: {complexity_from: 0, complexity_below: 10}, review: required}]",
        "[{name: a, when: {professional: false, context_tokens_from: 1}, strategy: auto, voices: [r1, pro]}]",
    ],
)
def test_what_has_a_meaning_is_allowed(tmp_path: Path, catalogue: Catalogue, rules: str) -> None:
    assert len(with_rules(tmp_path, catalogue, rules).rules) == rules.count("name:")


def test_a_rule_is_part_of_the_revision(tmp_path: Path, catalogue: Catalogue) -> None:
    revisions = {
        with_rules(tmp_path, catalogue, rules).revision
        for rules in ("[]", "[{name: a}]", "[{name: a, review: required}]")
    }
    assert len(revisions) == 3
