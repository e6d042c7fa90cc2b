"""Quality and routing: what requests are, who answers them, and why."""

from __future__ import annotations

from typing import Final

from grafana.panel import Dashboard, Panel, gauge, quantile, rate

_ANSWERED: Final = 'outcome=~"answered|degraded|late"'
_SHARE: Final = " / on () group_left () ".join(
    (
        rate("tandem_requests_total", "tier", where=_ANSWERED),
        rate("tandem_requests_total", where=_ANSWERED),
    )
)
_GATE: Final = "tandem_gate_probability_ratio"
_SUFFICES: Final = "tandem_signal_r1_suffices_ratio"

QUALITY: Final = Dashboard(
    "tandem-quality",
    "Tandem: quality and routing",
    "What requests are, who answers them, and why.",
    (
        (
            "Who answers",
            (
                Panel(
                    "Requests by outcome",
                    "Refused and cancelled ones are the client's doing; late and failed ones are misses.",
                    [(rate("tandem_requests_total", "outcome"), "{{outcome}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Share of the answers by tier",
                    "What each tier answers, fallbacks included.",
                    [
                        (
                            _SHARE,
                            "{{tier}}",
                        )
                    ],
                    "percentunit",
                    stacked=True,
                ),
                Panel(
                    "Strong tier: asked and target",
                    "The live control moves the threshold until the two meet.",
                    [
                        (gauge("tandem_share_ratio", how="avg"), "asked"),
                        (gauge("tandem_share_target_ratio", how="avg"), "target"),
                        (gauge("tandem_share_out_of_reach", how="max"), "out of reach"),
                    ],
                    "percentunit",
                ),
                Panel(
                    "Threshold",
                    "Probability that R1 suffices from which it answers; live is what the control made of it.",
                    [(gauge("tandem_routing_threshold_ratio", "kind", how="avg"), "{{kind}}")],
                    "percentunit",
                ),
                Panel(
                    "Strategies",
                    "How the tiers are used.",
                    [(rate("tandem_requests_total", "strategy"), "{{strategy}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Rules of the policy",
                    "Requests that a rule was for.",
                    [(rate("tandem_rule_requests_total", "rule"), "{{rule}}")],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "What requests are",
            (
                Panel(
                    "Probability that R1 suffices",
                    "A drift is another kind of traffic, or another artifact.",
                    [(quantile(part, _SUFFICES), f"p{part * 100:.0f}") for part in (0.1, 0.5, 0.9)],
                    "percentunit",
                ),
                Panel(
                    "Complexity",
                    "0 to 10.",
                    [
                        (quantile(part, "tandem_signal_complexity"), f"p{part * 100:.0f}")
                        for part in (0.1, 0.5, 0.9)
                    ],
                ),
                Panel(
                    "Classifier's time",
                    "Beyond the policy's allowance requests are routed without signals.",
                    [
                        (quantile(part, "tandem_classifier_duration_seconds"), f"p{part * 100:.0f}")
                        for part in (0.5, 0.99)
                    ],
                    "s",
                ),
                Panel(
                    "Tasks",
                    "What requests want done, by the classifier.",
                    [(rate("tandem_classifier_tasks_total", "task"), "{{task}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Domains",
                    "Their field of knowledge.",
                    [(rate("tandem_classifier_domains_total", "domain"), "{{domain}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Languages",
                    "The language they are asked in.",
                    [(rate("tandem_classifier_languages_total", "language"), "{{language}}")],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "Cascades, ensembles, cache",
            (
                Panel(
                    "Drafts, by the gate",
                    "Kept: the draft was the answer. Escalated: the strong tier was asked.",
                    [(rate("tandem_gate_verdicts_total", "verdict"), "{{verdict}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Probability that a draft suffices",
                    "What the gate compares with its threshold.",
                    [(quantile(part, _GATE), f"p{part * 100:.0f}") for part in (0.1, 0.5, 0.9)],
                    "percentunit",
                ),
                Panel(
                    "Votes, by the rule that decided",
                    "Abstained: the candidates gave nothing to choose by.",
                    [(rate("tandem_fusions_total", "rule"), "{{rule}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Agreement of votes",
                    "Weight of the answer that won over the weight of all.",
                    [
                        (quantile(part, "tandem_fusion_agreement_ratio"), f"p{part * 100:.0f}")
                        for part in (0.1, 0.5, 0.9)
                    ],
                    "percentunit",
                ),
                Panel(
                    "Fusion's time",
                    "Time to choose one of several answers.",
                    [
                        (quantile(part, "tandem_fusion_duration_seconds"), f"p{part * 100:.0f}")
                        for part in (0.5, 0.99)
                    ],
                    "s",
                ),
                Panel(
                    "Cache",
                    "Hits and shared ones cost nothing.",
                    [(rate("tandem_cache_requests_total", "outcome"), "{{outcome}}")],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "What decides",
            (
                Panel(
                    "Revisions",
                    "Of policy, catalogue and classifier; more than one of a kind is a change under way.",
                    [
                        (gauge(f"tandem_{kind}_info", "revision", how="count"), f"{kind} {{{{revision}}}}")
                        for kind in ("policy", "catalogue", "classifier_artifact")
                    ],
                    width=24,
                ),
            ),
        ),
    ),
)
