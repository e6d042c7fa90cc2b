"""Would catch names that the catalogue lacks, a fallback that cannot help, or a changed default."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.catalogue import Catalogue, load_catalogue
from tandem.orchestrator.policy import BudgetPolicy, Policy, load_policy, parse_target
from tandem.v1 import types_pb2
from tandem.yaml_document import DocumentError

DEPLOY = Path(__file__).parents[2] / "deploy"
SHIPPED = DEPLOY / "policy.yaml"
SMALLEST = """\
version: 1
routing: {cheap: r1, strong: pro, undecided: pro}
ensemble: {targets: [r1, r1/int8]}
fallbacks: []
entitlements: {default: [r1]}
"""
BUDGETS = "  default: {}\n"
"""What the shipped policy has of budgets and a test may replace."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(DEPLOY / "catalogue.yaml")


@pytest.fixture(scope="module")
def shipped(catalogue: Catalogue) -> Policy:
    return load_policy(SHIPPED, catalogue)


def load_text(tmp_path: Path, catalogue: Catalogue, text: str) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    return load_policy(file, catalogue)


def problems(tmp_path: Path, catalogue: Catalogue, old: str, new: str) -> list[str]:
    """Return what is wrong with the shipped policy after a change."""
    text = SHIPPED.read_text()
    assert old in text
    with pytest.raises(DocumentError) as caught:
        load_text(tmp_path, catalogue, text.replace(old, new, 1))
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


# --- what is shipped


@pytest.mark.parametrize(
    ("tier", "cause", "targets", "max_tokens"),
    [
        ("pro", "timeout", ("r1",), 256),
        ("pro", "out_of_memory", ("r1/int8",), None),
        ("pro", "unavailable", ("r1",), None),
        ("r1", "timeout", ("pro", "r1/int8"), 256),
        ("r1", "out_of_memory", ("r1/int8",), None),
        ("r1", "unavailable", ("pro", "r1/int8"), None),
    ],
)
def test_the_shipped_fallbacks_are_those_of_the_design(
    shipped: Policy, tier: str, cause: str, targets: tuple[str, ...], max_tokens: int | None
) -> None:
    row = next(row for row in shipped.fallbacks if (row.from_tier, row.on) == (tier, cause))
    assert shipped.fallbacks_for(tier, row.on) is row
    assert (row.to, row.max_tokens) == (targets, max_tokens)


def test_the_shipped_document_states_the_defaults(
    shipped: Policy, catalogue: Catalogue, tmp_path: Path
) -> None:
    smallest = load_text(tmp_path, catalogue, SMALLEST)
    for name in (
        "deadline",
        "strategy",
        "rules",
        "cascade",
        "value",
        "classifier",
        "sampling",
        "max_attempts",
        "cache",
        "budgets",
    ):
        assert getattr(shipped, name) == getattr(smallest, name), name
    assert shipped.routing.threshold == smallest.routing.threshold


def test_the_shipped_times_are_those_of_the_design(shipped: Policy) -> None:
    deadline = shipped.deadline
    assert (deadline.default_ms, deadline.max_ms, deadline.margin_ms) == (30_000, 600_000, 15)
    assert (deadline.fallback_tokens, deadline.reserve_share) == (256, 0.5)
    assert (shipped.cache.entries, shipped.cache.max_temperature) == (1000, 0.5)


# --- questions to a policy


def test_a_failure_without_a_row_is_raised(tmp_path: Path, catalogue: Catalogue) -> None:
    assert load_text(tmp_path, catalogue, SMALLEST).fallbacks_for("r1", "timeout") is None


def test_a_tenant_has_its_own_tiers_or_the_default(tmp_path: Path, catalogue: Catalogue) -> None:
    policy = load_text(
        tmp_path, catalogue, SMALLEST.replace("[r1]}", "[r1, pro], tenants: {small: [r1], 42: [pro]}}")
    )
    assert policy.tiers_of("anonymous") == ("r1", "pro")
    assert policy.tiers_of("small") == ("r1",)
    assert policy.tiers_of("42") == ("pro",)


@pytest.mark.parametrize(("name", "variant"), [("r1", ""), ("r1/int8", "int8")])
def test_targets(name: str, variant: str) -> None:
    assert parse_target(name) == types_pb2.Target(tier="r1", variant=variant)


def test_the_revision_changes_with_the_policy(shipped: Policy, catalogue: Catalogue, tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    assert load_text(tmp_path, catalogue, f"# a note\n{text}").revision == shipped.revision
    changed = load_text(tmp_path, catalogue, text.replace("threshold: 0.5", "threshold: 0.6"))
    assert changed.revision != shipped.revision


def test_the_most_specific_threshold_holds(tmp_path: Path, catalogue: Catalogue) -> None:
    rows = (
        "{language: zh, threshold: 0.1}, {domain: legal, threshold: 0.2}, "
        "{language: zh, domain: legal, threshold: 0.3}"
    )
    text = SMALLEST.replace("undecided:", f"thresholds: [{rows}], undecided:")
    routing = load_text(tmp_path, catalogue, text).routing

    def threshold(language: str, domain: types_pb2.Domain.ValueType, confidence: float = 1.0) -> float:
        return routing.threshold_for(
            types_pb2.Signals(
                language=types_pb2.LanguageSignal(value=language, confidence=1.0),
                domain=types_pb2.DomainSignal(value=domain, confidence=confidence),
            )
        )

    legal, finance = types_pb2.DOMAIN_LEGAL, types_pb2.DOMAIN_FINANCE
    assert (threshold("zh", legal), threshold("zh", finance), threshold("en", legal)) == (0.3, 0.1, 0.2)
    assert (
        threshold("und", legal),
        threshold("en", finance),
        threshold("", types_pb2.DOMAIN_UNSPECIFIED),
    ) == (0.2, 0.5, 0.5)
    assert threshold("zh", legal, confidence=0.4) == 0.1  # undecided


# --- what is refused


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (
            "threshold: 0.5",
            "target: {share: 0.3, usd_per_1k: 2}",
            "routing.target",
            "needs share or usd_per_1k, one of the two",
        ),
        ("threshold: 0.5", "target: {}", "routing.target", "needs share or usd_per_1k, one of the two"),
        ("threshold: 0.5", "target: {share: 1.5}", "routing.target.share", "must be at most 1"),
        (
            "strong: pro",
            "strong: r1\n  target: {usd_per_1k: 2}",
            "routing.target.usd_per_1k",
            "needs a strong tier",
        ),
        (
            "threshold: 0.5",
            "thresholds: [{threshold: 0.5}]",
            "routing.thresholds[0]",
            "needs language, domain or both",
        ),
        (
            "threshold: 0.5",
            "thresholds: [{language: zh, threshold: 0.5}, {language: zh, threshold: 0.6}]",
            "routing.thresholds[1]",
            "is for the same requests as routing.thresholds[0]",
        ),
        (
            "threshold: 0.5",
            "thresholds: [{domain: cooking, threshold: 0.5}]",
            "routing.thresholds[0].domain",
            "must be 'general', 'medical'",
        ),
        ("cheap: r1", "cheap: r2", "routing.cheap", "there is no tier 'r2'; ask for one of r1, pro"),
        ("undecided: r1", "undecided: cheap", "routing.undecided", "there is no tier 'cheap'"),
        (
            "targets: [r1, pro]",
            "targets: [r1, pro/int8]",
            "ensemble.targets[1]",
            "tier 'pro' has no variant 'int8'",
        ),
        (
            "targets: [r1, pro]",
            "targets: [r1]",
            "ensemble.targets",
            "has too few entries: 2 or more are needed",
        ),
        ("targets: [r1, pro]", "targets: [R1, pro]", "ensemble.targets[0]", "must match"),
        ("from: pro", "from: por", "fallbacks[0].from", "there is no tier 'por'"),
        ("to: [r1]", "to: [r1/bf16]", "fallbacks[0].to[0]", "tier 'r1' has no variant 'bf16'"),
        ("to: [r1]", "to: [r1, pro]", "fallbacks[0].to[1]", "pro is what fails here"),
        ("to: [r1]", "to: [r1, pro/fp16]", "fallbacks[0].to[1]", "pro/fp16 is what fails here"),
        ("to: [r1]", "to: [r1, r1/fp16]", "fallbacks[0].to[1]", "r1/fp16 is named before"),
        ("to: [r1]", "to: []", "fallbacks[0].to", "has too few entries"),
        (
            "on: timeout",
            "on: error",
            "fallbacks[0].on",
            "must be 'timeout', 'out_of_memory', 'unavailable' or 'overloaded'",
        ),
        (
            "from: pro, on: unavailable",
            "from: pro, on: timeout",
            "fallbacks[4]",
            "pro on timeout is already in",
        ),
        ("default: [r1, pro]", "default: [r1, max]", "entitlements.default[1]", "there is no tier 'max'"),
        ("default: [r1, pro]", "default: []", "entitlements.default", "has too few entries"),
        ("tenants: {}", "tenants: {a: [max]}", "entitlements.tenants.a[0]", "there is no tier 'max'"),
        ("tenants: {}", "tenants: {a b: [r1]}", "entitlements.tenants.a b", "must match"),
        (
            BUDGETS,
            "  default: {requests_per_minute: 0}\n",
            "budgets.default.requests_per_minute",
            "must be at least 1 (got 0)",
        ),
        (
            BUDGETS,
            "  default: {usd_per_day: -1}\n",
            "budgets.default.usd_per_day",
            "must be above 0 (got -1)",
        ),
        (
            BUDGETS,
            "  default: {usd_per_day: 0.0000000001}\n",
            "budgets.default.usd_per_day",
            "must have at most 9 decimal places",
        ),
        (
            BUDGETS,
            "  default: {tokens_per_minuet: 5}\n",
            "budgets.default.tokens_per_minuet",
            "is not known; did you mean tokens_per_minute?",
        ),
        (
            BUDGETS,
            "  tenants: {a: {usd_per_day: 1, when_exhausted: wait}}\n",
            "budgets.tenants.a.when_exhausted",
            "must be 'refuse' or 'cheap'",
        ),
        (
            BUDGETS,
            "  tenants: {a: {requests_per_minute: 1, when_exhausted: cheap}}\n",
            "budgets.tenants.a.when_exhausted",
            "needs tokens_per_minute or usd_per_day beside it",
        ),
        (BUDGETS, "  tenants: {a b: {usd_per_day: 1}}\n", "budgets.tenants.a b", "must match"),
        ("default_ms: 30000", "default_ms: 700000", "deadline.default_ms", "must be at most max_ms, 600000"),
        ("margin_ms: 15", "margin_ms: 30000", "deadline.margin_ms", "must be below default_ms, 30000"),
        ("reserve_share: 0.5", "reserve_share: 1.1", "deadline.reserve_share", "must be at most 1 (got 1.1)"),
        ("threshold: 0.5", "threshold: -0.1", "routing.threshold", "must be at least 0 (got -0.1)"),
        ("creative: 0.8", "creative: 2.1", "sampling.temperature.creative", "must be at most 2 (got 2.1)"),
        ("top_p: 0.95", "top_p: 0", "sampling.top_p", "must be above 0 (got 0)"),
        ("general: 50", "general: 0", "sampling.top_k.general", "must be at least 1 (got 0)"),
        ("max_tokens: 512", "max_tokens: 32769", "sampling.max_tokens", "must be at most 32768 (got 32769)"),
        ("max_attempts: 2", "max_attempts: 0", "max_attempts", "must be at least 1 (got 0)"),
        ("entries: 1000", "entries: -1", "cache.entries", "must be at least 0 (got -1)"),
        ("allowance_ms: 25", "allowance_ms: 0", "classifier.allowance_ms", "must be above 0 (got 0)"),
        (
            "strategy: route",
            "strategy: shadow",
            "strategy",
            "must be 'route', 'cascade', 'ensemble' or 'auto'",
        ),
        (
            "strategy: route\n\nrouting:\n",
            "strategy: auto\n\nrouting:\n  target: {share: 0.3}\n",
            "strategy",
            "auto weighs the cost of each request and holds no routing.target",
        ),
        ("refine: true", "refine: true\n  template: x", "cascade.template", "must have {draft} in it, once"),
        ("confidence: 0.5", "confidence: -0.5", "cascade.gate.confidence", "must be at least 0 (got -0.5)"),
        ("domains: {}", "domains: {law: 0.1}", "value.domains.law", "must be 'general'"),
        ("creative:", "creativ:", "sampling.temperature.creativ", "is not known; did you mean creative?"),
        ("to: [r1], max", "to: [r1], mx", "fallbacks[0].mx_tokens", "is not known; did you mean max_tokens?"),
    ],
)
def test_a_mistake_is_named(
    tmp_path: Path, catalogue: Catalogue, old: str, new: str, path: str, message: str
) -> None:
    (found,) = problems(tmp_path, catalogue, old, new)
    assert found.startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("creative: 0.8", "creative: 0"),
        ("creative: 0.8", "creative: 2"),
        ("general: 50", "general: 1000"),
        ("threshold: 0.5", "threshold: 1"),
        ("reserve_share: 0.5", "reserve_share: 0"),
        ("targets: [r1, pro]", "targets: [r1, r1]"),
        ("default: [r1, pro]", "default: [r1]"),
        ("entries: 1000", "entries: 0"),
        ("max_ms: 600000", "max_ms: 30000"),
        (BUDGETS, "  default: {requests_per_minute: 1, usd_per_day: 1_000_000}\n"),
        (BUDGETS, "  default: {usd_per_day: 0.000000001, when_exhausted: cheap}\n"),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(tmp_path: Path, catalogue: Catalogue, old: str, new: str) -> None:
    text = SHIPPED.read_text()
    assert old in text
    assert load_text(tmp_path, catalogue, text.replace(old, new, 1)).version == 1


def test_budgets_by_tenant(tmp_path: Path, catalogue: Catalogue) -> None:
    text = f"{SMALLEST}budgets: {{default: {{usd_per_day: 1.5}}, tenants: {{a: {{requests_per_minute: 2}}}}}}"
    budgets = load_text(tmp_path, catalogue, text).budgets
    assert budgets.default.nano_usd_per_day == 1_500_000_000
    assert (budgets.tenants["a"].requests_per_minute, budgets.tenants["a"].nano_usd_per_day) == (2, None)
    assert load_text(tmp_path, catalogue, SMALLEST).budgets == BudgetPolicy()


@pytest.mark.parametrize(
    ("entitlements", "budgets", "path", "who"),
    [
        ("default: [pro]", "default: {usd_per_day: 1, C}", "default", "tenants that are not listed"),
        ("default: [r1], tenants: {a: [pro], b: [pro]}", "default: {usd_per_day: 1, C}", "default", "a, b"),
        ("default: [r1], tenants: {a: [pro]}", "tenants: {a: {usd_per_day: 1, C}}", "tenants.a", "a"),
        ("default: [pro], tenants: {b: [r1]}", "tenants: {a: {usd_per_day: 1, C}}", "tenants.a", "a"),
    ],
)
def test_a_budget_that_leaves_a_tenant_to_a_tier_that_it_may_not_use(
    tmp_path: Path, catalogue: Catalogue, entitlements: str, budgets: str, path: str, who: str
) -> None:
    text = SMALLEST.replace("default: [r1]", entitlements) + f"budgets: {{{budgets}}}"
    with pytest.raises(DocumentError) as caught:
        load_text(tmp_path, catalogue, text.replace("C}", "when_exhausted: cheap}"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (6, f"budgets.{path}.when_exhausted")
    assert problem.message == f"leaves r1 to answer, which may not be used by {who}; write refuse"


def test_all_unknown_names_come_at_once_with_their_lines(tmp_path: Path, catalogue: Catalogue) -> None:
    text = SMALLEST.replace("strong: pro", "strong: max").replace("r1/int8", "r1/int4")
    with pytest.raises(DocumentError) as caught:
        load_text(tmp_path, catalogue, text)
    assert [(p.line, p.column, p.path) for p in caught.value.problems] == [
        (2, 22, "routing.strong"),
        (3, 26, "ensemble.targets[1]"),
    ]


@pytest.mark.parametrize("field", ["version", "routing", "ensemble", "fallbacks", "entitlements"])
def test_what_names_tiers_has_no_default(tmp_path: Path, catalogue: Catalogue, field: str) -> None:
    lines = [line for line in SMALLEST.splitlines() if not line.startswith(f"{field}:")]
    with pytest.raises(DocumentError, match=f"{field}: is missing"):
        load_text(tmp_path, catalogue, "\n".join(lines))
