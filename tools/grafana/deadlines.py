"""Deadlines and degradations: is everybody answered in time, and what is missing from the answers."""

from __future__ import annotations

from typing import Final

from grafana.panel import NAMESPACE, Dashboard, Panel, quantile, rate

_MISSES: Final = "tandem:deadline_misses:ratio_rate"
_BUDGET: Final = 0.001
_PARTS: Final = (0.5, 0.95, 0.99)


def _times(histogram: str, *parts: float) -> list[tuple[str, str]]:
    return [(quantile(part, histogram), f"p{part * 100:.0f}") for part in parts]


def _missed(window: str) -> str:
    return f"max ({_MISSES}{window}{{{NAMESPACE}}})"


DEADLINES: Final = Dashboard(
    "tandem-deadlines",
    "Tandem: deadlines and degradations",
    "Is everybody answered by the deadline, and what is missing from the answers.",
    (
        (
            "The objective: 99.9 % answered by the deadline",
            (
                Panel(
                    "In time, last hour",
                    "Of the requests that count: refused and cancelled ones do not.",
                    [(f"1 - {_missed('1h')}", "in time")],
                    "percentunit",
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "In time, last three days",
                    "The same over the longest window that alerts look at.",
                    [(f"1 - {_missed('3d')}", "in time")],
                    "percentunit",
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Burn rate",
                    "1: a month's budget lasts a month. At 14.4 over an hour and five minutes somebody is called.",
                    [(f"{_missed(each)} / {_BUDGET}", each) for each in ("5m", "1h", "6h", "3d")],
                    at_most=14.4,
                ),
                Panel(
                    "Misses",
                    "Late: answered after the deadline. Failed: an error of the service.",
                    [
                        (
                            rate("tandem_requests_total", "outcome", where='outcome=~"late|failed"'),
                            "{{outcome}}",
                        )
                    ],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
        (
            "Times",
            (
                Panel(
                    "First token",
                    "From the start of a request to the first token of any of its attempts.",
                    _times("tandem_time_to_first_token_seconds", *_PARTS),
                    "s",
                ),
                Panel(
                    "Whole answer",
                    "From the start of a request to its end.",
                    _times("tandem_request_duration_seconds", *_PARTS),
                    "s",
                ),
                Panel(
                    "Left at the answer",
                    "What was left of the deadline: the lowest part comes first.",
                    _times("tandem_time_left_seconds", 0.01, 0.05, 0.5),
                    "s",
                ),
                Panel(
                    "First token by tier",
                    "95 of 100 requests keep below.",
                    [(quantile(0.95, "tandem_time_to_first_token_seconds", "tier"), "{{tier}}")],
                    "s",
                ),
                Panel(
                    "Per token by model",
                    "Time per token after the first; half of the attempts keep below.",
                    [
                        (
                            quantile(0.5, "tandem_attempt_time_per_output_token_seconds", "tier", "variant"),
                            "{{tier}}/{{variant}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Whole answer by strategy",
                    "95 of 100 requests keep below.",
                    [(quantile(0.95, "tandem_request_duration_seconds", "strategy"), "{{strategy}}")],
                    "s",
                ),
            ),
        ),
        (
            "Less than was planned",
            (
                Panel(
                    "Degraded answers",
                    "Part of the answers that are less than was planned.",
                    [(f"max (tandem:degraded:ratio_rate5m{{{NAMESPACE}}})", "degraded")],
                    "percentunit",
                    at_most=0.1,
                ),
                Panel(
                    "Degradations by reason",
                    "Why.",
                    [(rate("tandem_degradations_total", "reason"), "{{reason}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "From and to",
                    "Which tier was planned, and which answered instead.",
                    [
                        (
                            rate("tandem_degradations_total", "from_tier", "to_tier"),
                            "{{from_tier}} → {{to_tier}}",
                        )
                    ],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Seams",
                    "Answers that another model went on with in the middle.",
                    [(rate("tandem_seams_total", "from_tier", "reason"), "{{from_tier}}: {{reason}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Attempts that did not answer",
                    "Each is replaced, if time and policy allow.",
                    [
                        (
                            rate("tandem_attempts_total", "tier", "outcome", where='outcome!="answered"'),
                            "{{tier}}: {{outcome}}",
                        )
                    ],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Errors by reason",
                    "What clients get instead of an answer.",
                    [(rate("tandem_request_errors_total", "reason"), "{{reason}}")],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
    ),
)
