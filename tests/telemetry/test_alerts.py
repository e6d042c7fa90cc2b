"""Would catch an alert that stays silent at its fault, that cries without one, or that leads to no page.

Each case gives promtool the series of a fault, or of health, and names the alerts that fire then, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import OBSERVABILITY, RULE_FILES, alerts, groups, needs_prometheus, promtool

PAGES = Path(__file__).parents[2] / "docs" / "operations" / "runbooks"
REQUESTS = 'tandem_requests_total{{tier="r1",outcome="{}"}}'
ATTEMPTS = 'tandem_attempts_total{{tier="pro",variant="bf16",outcome="{}"}}'
BREAKER = 'tandem_breaker_state{{tier="{}",variant="{}",state="{}"}}'
OF_PRO = '{tier="pro",variant="bf16"}'
FAST, BURNS, SLOWLY = (
    "TandemDeadlineBudgetBurnsFast",
    "TandemDeadlineBudgetBurns",
    "TandemDeadlineBudgetBurnsSlowly",
)


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, and what fires at a moment."""

    about: str
    series: Mapping[str, str]
    at: str
    fires: Sequence[str] = ()
    interval: str = "1m"
    """Between two values of a series."""
    always: Mapping[str, str] = field(default_factory=lambda: {"tandem_build_info": "1x10000"})


def requests(answered: float, missed: float, minutes: int) -> dict[str, str]:
    """Return counters that grow by so many requests a minute."""
    return {
        REQUESTS.format("answered"): f"0+{answered}x{minutes}",
        REQUESTS.format("late"): f"0+{missed / 2}x{minutes}",
        REQUESTS.format("failed"): f"0+{missed / 2}x{minutes}",
        # Neither counts, however many there are.
        REQUESTS.format("cancelled"): f"0+5000x{minutes}",
        REQUESTS.format("refused"): f"0+5000x{minutes}",
    }


def breakers(**states: str) -> dict[str, str]:
    """Return the gauges of breakers; the name of a model is its tier, or tier and variant."""
    found = {}
    for model, state in states.items():
        tier, _, variant = model.partition("_")
        for each in ("closed", "half_open", "open"):
            found[BREAKER.format(tier, variant or "bf16", each)] = f"{int(each == state)}x60"
    return found


ASLEEP = {f'tandem_variant_ready{{tier="r1",variant="{each}"}}': "0x30" for each in ("fp16", "int8")}
ASKED = {'tandem_attempts_total{tier="r1",variant="fp16",outcome="failed"}': "0+9x30"}
HEALTH = {
    **requests(1000, 0.5, 300),
    'tandem_requests_total{tier="r1",outcome="degraded"}': "0+50x300",
    ATTEMPTS.format("answered"): "0+300x300",
    ATTEMPTS.format("unavailable"): "0+1x300",
    ATTEMPTS.format("out_of_memory"): "0 0 0 1 1 1 1 1 1 1 1 1 1x300",
    'tandem_degradations_total{reason="classifier"}': "0+5x300",
    f"tandem_shed_total{OF_PRO}": "0+1x300",
    f"tandem_queued{OF_PRO}": "3x300",
    f"tandem_concurrency_limit{OF_PRO}": "6x300",
    f"tandem_concurrency_limit_max{OF_PRO}": "8x300",
    f"tandem_breaker_openings_total{OF_PRO}": "0 1 2 3x300",
    **breakers(pro="closed", r1="closed"),
    'tandem_variant_ready{tier="r1",variant="fp16"}': "1x300",
    'tandem_variant_ready{tier="r1",variant="int8"}': "0x300",
    "tandem_share_ratio": "0.33x300",
    "tandem_share_target_ratio": "0.3x300",
    "tandem_share_out_of_reach": "0x300",
    "tandem_share_cost_usd": "0.0021x300",
    "tandem_share_cost_target_usd": "0.002x300",
    'tandem_policy_info{revision="a"}': "1x300",
    "tandem_documents_refused": "0x300",
    "tandem_ledger_lag_entries": "900x300",
    "tandem_ledger_errors_total": "3x300",
    "tandem_ledger_dropped_total": "17x300",
    'tandem_request_errors_total{reason="budget_exhausted"}': "9x300",
    'tandem_settled_attempts_total{tier="pro",variant="bf16",by_engine="true"}': "0+299x300",
    'tandem_settled_attempts_total{tier="pro",variant="bf16",by_engine="false"}': "0+1x300",
    'up{job="tandem-orchestrator",instance="a"}': "1x300",
    'up{job="other",instance="b"}': "0x300",
}
# 1,000 requests a minute, so that one miss a minute is the whole budget of 0.1 %.
CASES = [
    Case("health", HEALTH, "4h"),
    Case("nothing is asked", requests(0, 0, 100), "90m"),
    Case("below 14.4 times the budget", requests(985.8, 14.2, 30), "30m", [BURNS]),
    Case("above it", requests(985.4, 14.6, 30), "30m", [FAST, BURNS]),
    # Half an hour of misses, then none: the short windows let go one after the other.
    Case(
        "it was over ten minutes ago",
        {REQUESTS.format("answered"): "0+900x100", REQUESTS.format("failed"): "0+100x30 3000x70"},
        "41m",
        [BURNS],
    ),
    Case("six times the budget for hours", requests(993 * 15, 7 * 15, 40), "7h", [BURNS, SLOWLY], "15m"),
    Case("four times the budget for a day", requests(996 * 15, 4 * 15, 100), "24h", [SLOWLY], "15m"),
    Case("more than the budget for days", requests(998.5 * 15, 1.5 * 15, 300), "72h", [SLOWLY], "15m"),
    Case("within the budget for days", requests(999.1 * 15, 0.9 * 15, 300), "72h", [], "15m"),
    Case(
        "many degraded answers",
        {**requests(880, 0, 30), 'tandem_requests_total{tier="r1",outcome="degraded"}': "0+120x30"},
        "20m",
        ["TandemAnswersDegraded"],
    ),
    Case(
        "a tier is dead and nobody has noticed yet",
        {ATTEMPTS.format("unavailable"): "0+10x30", ATTEMPTS.format("answered"): "0+10x4 40x30"},
        "9m",
        ["TandemTierAway"],
    ),
    Case(
        "a tier is dead and its breakers are open",
        breakers(pro="open", r1="closed", r1_int8="closed"),
        "10m",
        ["TandemBreakerOpen", "TandemTierAway"],
    ),
    Case("Triton has none of a tier's models", {**ASLEEP, **ASKED}, "5m", ["TandemTierAway"]),
    Case("a tier sleeps while nobody asks it", ASLEEP, "10m"),
    Case(
        "one of two variants is sick",
        breakers(r1="open", r1_int8="closed"),
        "10m",
        ["TandemBreakerOpen"],
    ),
    Case("models that nobody asks any more", breakers(r1="half_open", pro="half_open"), "10m"),
    Case(
        "a breaker goes back and forth",
        {**breakers(pro="closed"), f"tandem_breaker_openings_total{OF_PRO}": "0 1 2 3 4 5 6x30"},
        "10m",
        ["TandemBreakerOpen"],
    ),
    Case(
        "memory runs out",
        {ATTEMPTS.format("out_of_memory"): "0+1x30", ATTEMPTS.format("answered"): "0+90x30"},
        "10m",
        ["TandemOutOfMemory"],
    ),
    Case(
        "a model bears little",
        {
            f"tandem_concurrency_limit{OF_PRO}": "3x30",
            f"tandem_concurrency_limit_max{OF_PRO}": "8x30",
            ATTEMPTS.format("answered"): "0+9x30",
        },
        "20m",
        ["TandemLimitReduced"],
    ),
    Case(
        "a model that bore little when it was asked last",
        {
            f"tandem_concurrency_limit{OF_PRO}": "3x30",
            f"tandem_concurrency_limit_max{OF_PRO}": "8x30",
            ATTEMPTS.format("answered"): "9x30",
        },
        "20m",
    ),
    Case(
        "there are too few places",
        {f"tandem_shed_total{OF_PRO}": "0+3x30", ATTEMPTS.format("answered"): "0+97x30"},
        "15m",
        ["TandemShedding"],
    ),
    Case("everybody is shed", {f"tandem_shed_total{OF_PRO}": "0+3x30"}, "15m", ["TandemShedding"]),
    Case(
        "a queue that stays",
        {f"tandem_queued{OF_PRO}": "5x30", f"tandem_concurrency_limit{OF_PRO}": "8x30"},
        "15m",
        ["TandemSaturated"],
    ),
    Case(
        "the classifier is away",
        {**requests(1000, 0, 30), 'tandem_degradations_total{reason="classifier"}': "0+20x30"},
        "15m",
        ["TandemClassifierAbsent"],
    ),
    Case(
        "the share drifts off",
        {"tandem_share_ratio": "0.4x60", "tandem_share_target_ratio": "0.3x60"},
        "40m",
        ["TandemShareOffTarget"],
    ),
    Case(
        "the target is out of reach", {"tandem_share_out_of_reach": "1x60"}, "40m", ["TandemShareOffTarget"]
    ),
    Case(
        "requests cost too much",
        {"tandem_share_cost_usd": "0.0023x60", "tandem_share_cost_target_usd": "0.002x60"},
        "40m",
        ["TandemCostOverTarget"],
    ),
    Case(
        "two policies at a time",
        {f'tandem_policy_info{{instance="{each}",revision="{each}"}}': "1x60" for each in "ab"},
        "20m",
        ["TandemPoliciesDiffer"],
    ),
    Case("a policy is wrong", {"tandem_documents_refused": "0 1x30"}, "10m", ["TandemDocumentRefused"]),
    Case(
        "the ledger drops",
        {"tandem_ledger_dropped_total": "0 0 5x30", "tandem_ledger_errors_total": "0 0 1x30"},
        "5m",
        ["TandemLedgerDrops"],
    ),
    Case("the ledger lags", {"tandem_ledger_lag_entries": "1500x30"}, "10m", ["TandemLedgerLags"]),
    Case("the database is away", {"tandem_ledger_errors_total": "0+12x30"}, "10m", ["TandemLedgerLags"]),
    Case(
        "a budget is used up",
        {'tandem_request_errors_total{reason="budget_exhausted"}': "0+1x60"},
        "30m",
        ["TandemBudgetsExhausted"],
    ),
    Case(
        "the cheap tier answers for whoever has used up the budget",
        {'tandem_degradations_total{reason="budget"}': "0+1x60"},
        "30m",
        ["TandemBudgetsExhausted"],
    ),
    Case(
        "an engine does not say what it took",
        {
            'tandem_settled_attempts_total{tier="pro",variant="bf16",by_engine="true"}': "0+90x120",
            'tandem_settled_attempts_total{tier="pro",variant="bf16",by_engine="false"}': "0+10x120",
        },
        "90m",
        ["TandemBooksUnsettled"],
    ),
    Case("nothing runs", {}, "10m", ["TandemAbsent"], always={}),
    Case(
        "a replica is gone",
        {
            'up{job="tandem-orchestrator",instance="a"}': "1 1 0x30",
            'up{job="tandem-orchestrator",instance="b"}': "1x30",
        },
        "10m",
        ["TandemReplicaDown"],
    ),
]


def run(case: Case, folder: Path) -> str:
    """Return what promtool has against a case; nothing if it is as it should be."""
    known = alerts()
    expected = [
        {"labels": f'{{alertname="{name}",severity="{known[name]["labels"]["severity"]}"}}', "value": 1}
        for name in sorted(case.fires)
    ]
    # Which model or tier it is about is left out here.
    firing = 'count by (alertname, severity) (ALERTS{alertstate="firing"}) > bool 0'
    tests: dict[str, Any] = {
        "rule_files": [str(file) for file in RULE_FILES],
        "evaluation_interval": case.interval,
        # Else an alert may see what was recorded an interval ago, which is too old where intervals are long.
        "group_eval_order": [group["name"] for group in groups()],
        "tests": [
            {
                "interval": case.interval,
                "input_series": [
                    {"series": name, "values": values}
                    for name, values in {**case.always, **case.series}.items()
                ],
                "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": expected}],
            }
        ],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(tests))
    ran = promtool("test", "rules", str(file))
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@needs_prometheus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_fires(case: Case, tmp_path: Path) -> None:
    assert run(case, tmp_path) == ""


@needs_prometheus
def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_that_fires_it() -> None:
    assert {name for case in CASES for name in case.fires} == set(alerts())


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_has_its_page(name: str) -> None:
    address = alerts()[name]["annotations"]["runbook_url"]
    page = PAGES.parents[2] / address
    assert page.parent == PAGES
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Meaning", "Look here", "Do this", "Seen"]


def test_no_page_is_about_an_alert_that_is_gone() -> None:
    addressed = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts().values()}
    assert {page.name for page in PAGES.glob("*.md")} == {*addressed, "README.md"}


def test_the_rules_are_found() -> None:
    assert [file.name for file in RULE_FILES] == ["alerts.yaml", "recording.yaml"]
    assert OBSERVABILITY.is_dir()
