"""Money: what answers cost, who pays, and whether the books are whole."""

from __future__ import annotations

from typing import Final

from grafana.panel import NAMESPACE, Dashboard, Panel, gauge, rate

_PER_HOUR: Final = "currencyUSD"
_GUESSED: Final = rate("tandem_settled_attempts_total", where='by_engine="false"')
_NOT_COUNTED: Final = f"({_GUESSED} or vector(0)) / {rate('tandem_settled_attempts_total')}"

MONEY: Final = Dashboard(
    "tandem-money",
    "Tandem: money",
    "What answers cost by the catalogue's prices, who pays, and whether the books are whole.",
    (
        (
            "Cost",
            (
                Panel(
                    "An hour costs",
                    "At the pace of the last five minutes.",
                    [(f"sum (tandem:cost_usd:per_hour{{{NAMESPACE}}})", "an hour")],
                    _PER_HOUR,
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "1,000 requests cost",
                    "Refused and cancelled ones and those from the cache included.",
                    [
                        (
                            f"1000 * {rate('tandem_cost_usd_total')} / {rate('tandem_requests_total')}",
                            "1,000 requests",
                        )
                    ],
                    _PER_HOUR,
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "By tier",
                    "US dollars an hour.",
                    [(f"sum by (tier) (tandem:cost_usd:per_hour{{{NAMESPACE}}})", "{{tier}}")],
                    _PER_HOUR,
                    stacked=True,
                ),
                Panel(
                    "By purpose",
                    "US dollars an hour. What is not for a primary attempt is the price of safety, or of quality.",
                    [(f"3600 * {rate('tandem_cost_usd_total', 'purpose')}", "{{purpose}}")],
                    _PER_HOUR,
                    stacked=True,
                ),
                Panel(
                    "A request costs, and its target",
                    "Where the policy has a target in money; the live control moves the threshold to hold it.",
                    [
                        (gauge("tandem_share_cost_usd", how="avg"), "a request"),
                        (gauge("tandem_share_cost_target_usd", how="avg"), "target"),
                    ],
                    _PER_HOUR,
                    needs="money target",
                ),
                Panel(
                    "Tokens",
                    "Of all attempts, also of those in vain.",
                    [(rate("tandem_tokens_total", "tier", "direction"), "{{tier}}: {{direction}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Answers that cost nothing",
                    "From the cache, or shared with the same question of another.",
                    [
                        (
                            rate("tandem_cache_requests_total", "outcome", where='outcome=~"hit|shared"'),
                            "{{outcome}}",
                        )
                    ],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "Tenants",
            (
                Panel(
                    "Cost",
                    "US dollars an hour, of the ten dearest. Tenants beyond the first 200 are `other`.",
                    [(f"topk(10, 3600 * {rate('tandem_tenant_cost_usd_total', 'tenant')})", "{{tenant}}")],
                    _PER_HOUR,
                    stacked=True,
                ),
                Panel(
                    "Requests",
                    "Of the ten busiest.",
                    [(f"topk(10, {rate('tandem_tenant_requests_total', 'tenant')})", "{{tenant}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Budgets",
                    "Requests refused, or answered by the cheap tier, because a budget was used up.",
                    [
                        (rate("tandem_request_errors_total", where='reason="budget_exhausted"'), "refused"),
                        (
                            rate("tandem_degradations_total", where='reason="budget"'),
                            "answered by the cheap tier",
                        ),
                    ],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "Books",
            (
                Panel(
                    "Entries that wait for the database",
                    "An orchestrator keeps 10,000, then it drops the oldest.",
                    [(gauge("tandem_ledger_lag_entries"), "waiting")],
                    at_most=1000,
                ),
                Panel(
                    "Entries",
                    "Written, and lost for good.",
                    [
                        (rate("tandem_ledger_written_total"), "written"),
                        (rate("tandem_ledger_dropped_total"), "dropped"),
                        (rate("tandem_ledger_errors_total"), "errors of the database"),
                    ],
                    "ops",
                ),
                Panel(
                    "Attempts whose tokens the engine did not count",
                    "Part of all that were settled; engines without books, or dead ones.",
                    [
                        (
                            _NOT_COUNTED,
                            "not counted",
                        )
                    ],
                    "percentunit",
                    at_most=0.05,
                ),
            ),
        ),
    ),
)
