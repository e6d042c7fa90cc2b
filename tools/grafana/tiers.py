"""Tiers and GPUs: how much the models bear, how they are, and what they run on."""

from __future__ import annotations

from typing import Final

from grafana.panel import NAMESPACE, RATE, Dashboard, Panel, gauge, quantile, rate

_MODEL: Final = ("tier", "variant")
_WANTED: Final = f"({gauge('tandem_in_flight', *_MODEL)} + {gauge('tandem_queued', *_MODEL)})"
_TAKEN: Final = f"{_WANTED} / {gauge('tandem_concurrency_limit', *_MODEL)}"
_MEMORY: Final = " / ".join(gauge(f"nv_gpu_memory_{which}_bytes", "gpu_uuid") for which in ("used", "total"))
_NAME: Final = "{{tier}}/{{variant}}"
# The processes of Tandem are those that say which version they are.
_OURS: Final = f"* on (job, instance) group_left () tandem_build_info{{{NAMESPACE}}}"


def _first_token(part: float) -> str:
    return quantile(part, "tandem_attempt_time_to_first_token_seconds", *_MODEL)


TIERS: Final = Dashboard(
    "tandem-tiers",
    "Tandem: tiers and GPUs",
    "How much the models bear, how they are, and what they run on.",
    (
        (
            "Places",
            (
                Panel(
                    "Attempts under way",
                    "Over all orchestrators.",
                    [(gauge("tandem_in_flight", *_MODEL), _NAME)],
                    stacked=True,
                ),
                Panel(
                    "Attempts that wait",
                    "For a free place; in the order of their deadlines.",
                    [(gauge("tandem_queued", *_MODEL), _NAME)],
                    stacked=True,
                ),
                Panel(
                    "Attempts that got no place",
                    "They went elsewhere, or the request was refused.",
                    [(rate("tandem_shed_total", *_MODEL), _NAME)],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Limit",
                    "Attempts at a time as each model bears them now; halved when it fails, up again when it is well.",
                    [(gauge("tandem_concurrency_limit", *_MODEL), _NAME)],
                ),
                Panel(
                    "Places that are taken",
                    "Under way and waiting, over the limit: above 1 attempts wait. Scaling goes by this.",
                    [
                        (
                            _TAKEN,
                            _NAME,
                        )
                    ],
                    "percentunit",
                    at_most=1.0,
                ),
                Panel(
                    "Wait for a place",
                    "95 of 100 attempts keep below.",
                    [(quantile(0.95, "tandem_attempt_queue_seconds", *_MODEL), _NAME)],
                    "s",
                ),
            ),
        ),
        (
            "Health",
            (
                Panel(
                    "Breakers that are not closed",
                    "Of how many orchestrators: open keeps all requests off a model, half open lets one at a time try.",
                    [
                        (
                            gauge("tandem_breaker_state", *_MODEL, "state", where='state=~"open|half_open"'),
                            f"{_NAME}: {{{{state}}}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Models that Triton says can answer",
                    "0: its model is not ready, or its Triton does not answer.",
                    [(gauge("tandem_variant_ready", *_MODEL, how="max"), _NAME)],
                ),
                Panel(
                    "Tritons, and who shares them",
                    "Each Triton adds its places, each orchestrator gets its part of all.",
                    [
                        (gauge("tandem_instances", "tier", how="max"), "{{tier}}: Tritons"),
                        (gauge("tandem_sharers", "tier", how="max"), "{{tier}}: orchestrators"),
                    ],
                ),
                Panel(
                    "Openings of breakers",
                    "In an hour.",
                    [
                        (
                            f"sum by (tier, variant) (increase(tandem_breaker_openings_total{{{NAMESPACE}}}[1h]))",
                            _NAME,
                        )
                    ],
                ),
                Panel(
                    "Attempts by outcome",
                    "How attempts end.",
                    [(rate("tandem_attempts_total", "tier", "outcome"), "{{tier}}: {{outcome}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "First token, half of the attempts",
                    "From the start of an attempt.",
                    [(_first_token(0.5), _NAME)],
                    "s",
                ),
                Panel(
                    "First token, 95 of 100 attempts",
                    "What the reserve for a fallback is made of.",
                    [(_first_token(0.95), _NAME)],
                    "s",
                ),
                Panel(
                    "Whole attempt",
                    "95 of 100 attempts keep below.",
                    [(quantile(0.95, "tandem_attempt_duration_seconds", *_MODEL), _NAME)],
                    "s",
                ),
            ),
        ),
        (
            "Engines",
            (
                Panel(
                    "Tokens made",
                    "By the books of Tandem.",
                    [(rate("tandem_tokens_total", *_MODEL, where='direction="output"'), _NAME)],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Answers of engines",
                    "By how they ended; cut: the client left, time was over, or another model took over.",
                    [(rate("tandem_engine_answers_total", "outcome"), "{{outcome}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Questions after what a cut attempt took",
                    "By what came of them.",
                    [(rate("tandem_engine_receipts_total", "outcome"), "{{outcome}}")],
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "GPU: load",
                    "As Triton tells it.",
                    [(gauge("nv_gpu_utilization", "gpu_uuid", how="avg"), "{{gpu_uuid}}")],
                    "percentunit",
                    needs="gpu",
                ),
                Panel(
                    "GPU: memory in use",
                    "Of what there is. Engines take their part at the start and keep it.",
                    [
                        (
                            _MEMORY,
                            "{{gpu_uuid}}",
                        )
                    ],
                    "percentunit",
                    at_most=0.95,
                    needs="gpu",
                ),
                Panel(
                    "GPU: power",
                    "As Triton tells it.",
                    [(gauge("nv_gpu_power_usage", "gpu_uuid"), "{{gpu_uuid}}")],
                    "watt",
                    needs="gpu",
                ),
            ),
        ),
        (
            "Processes of Tandem",
            (
                Panel(
                    "CPU",
                    "Seconds of CPU in a second.",
                    [(f"rate(process_cpu_seconds_total[{RATE}]) {_OURS}", "{{job}} {{instance}}")],
                ),
                Panel(
                    "Memory",
                    "Resident.",
                    [(f"process_resident_memory_bytes {_OURS}", "{{job}} {{instance}}")],
                    "bytes",
                ),
                Panel(
                    "RPCs by status",
                    "At the edge of every service.",
                    [
                        (
                            rate("grpc_server_handled_total", "grpc_service", "grpc_code"),
                            "{{grpc_service}}: {{grpc_code}}",
                        )
                    ],
                    "reqps",
                    stacked=True,
                ),
            ),
        ),
    ),
)
