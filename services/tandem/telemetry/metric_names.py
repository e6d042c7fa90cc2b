"""Every name of a metric and of its labels; a test fails on one that is not here or not documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "info"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as Prometheus knows it."""

    name: str
    kind: Kind
    help: str
    """What it counts or measures: a sentence."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, ascending, without infinity; of a histogram."""


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_, labels)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "gauge", help_, labels)


def _info(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "info", help_, labels)


def _histogram(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, "histogram", help_, labels, buckets)


SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
"""For what takes as long as an answer."""
QUICK_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip
"""For what is computed at once."""
LEFT_SECONDS: Final = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""For the time that is left at an answer."""
RATIOS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
# The four that follow are those of the GenAI semantic conventions of OpenTelemetry, v1.41.0.
OPERATION_SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
FIRST_TOKEN_SECONDS: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
PER_TOKEN_SECONDS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
TOKENS: Final = tuple(float(4**power) for power in range(14))

# Requests, as their clients see them.
REQUESTS = _counter(
    "tandem_requests_total", "Requests that have ended.", "method", "tier", "variant", "strategy", "outcome"
)
REQUEST_ERRORS = _counter(
    "tandem_request_errors_total", "Requests that ended with an error, by its ErrorInfo reason.", "reason"
)
REQUEST_SECONDS = _histogram(
    "tandem_request_duration_seconds",
    "Time from the start of a request to its end.",
    SECONDS,
    "tier",
    "strategy",
    "outcome",
)
PHASES = _histogram(
    "tandem_phase_duration_seconds",
    "Time that the parts of a request took, beside its attempts.",
    QUICK_SECONDS,
    "phase",
)
FIRST_TOKEN = _histogram(
    "tandem_time_to_first_token_seconds",
    "Time from the start of a request to the first token of any of its attempts.",
    FIRST_TOKEN_SECONDS,
    "tier",
    "strategy",
)
TIME_LEFT = _histogram(
    "tandem_time_left_seconds",
    "Time that was left until the deadline when a request was answered; 0: none.",
    LEFT_SECONDS,
    "tier",
    "strategy",
)
DEADLINE_MISSES = _gauge(
    "tandem_deadline_miss_ratio",
    "Share of the requests of the last minute that got no answer by their deadline; cancelled and refused ones apart.",
    "tier",
)
DEGRADED = _gauge(
    "tandem_degraded_ratio",
    "Share of the answers of the last minute that were less than was planned.",
    "tier",
)
DEGRADATIONS = _counter(
    "tandem_degradations_total",
    "Ways in which an answer was less than was planned.",
    "reason",
    "from_tier",
    "to_tier",
)
CACHE = _counter("tandem_cache_requests_total", "Requests, by what the cache did for them.", "outcome")
CACHED = _gauge("tandem_cache_entries", "Answers in the memory of this replica.")
RULES = _counter("tandem_rule_requests_total", "Requests that a rule of the policy was for.", "rule")
GATES = _counter(
    "tandem_gate_verdicts_total", "Drafts of cascades, by what the gate said.", "verdict"
)  # kept, escalated
GATE = _histogram(
    "tandem_gate_probability_ratio", "Probability that a cascade's draft suffices, by its gate.", RATIOS
)
# Tenants.
TENANT_REQUESTS = _counter(
    "tandem_tenant_requests_total", "Requests that have ended, by who asked.", "tenant", "outcome"
)
TENANT_TOKENS = _counter("tandem_tenant_tokens_total", "Tokens, by who asked.", "tenant", "direction")
TENANT_COST = _counter("tandem_tenant_cost_usd_total", "US dollars, by who asked.", "tenant")
# Attempts.
ATTEMPTS = _counter(
    "tandem_attempts_total", "Attempts that have ended.", "tier", "variant", "purpose", "outcome"
)
ATTEMPT_SECONDS = _histogram(
    "tandem_attempt_duration_seconds",
    "Time from the start of an attempt to its end.",
    OPERATION_SECONDS,
    "tier",
    "variant",
    "outcome",
)
ATTEMPT_QUEUE = _histogram(
    "tandem_attempt_queue_seconds",
    "Time that an attempt waited for a free place.",
    SECONDS,
    "tier",
    "variant",
)
ATTEMPT_FIRST_TOKEN = _histogram(
    "tandem_attempt_time_to_first_token_seconds",
    "Time from the start of an attempt to its first token.",
    FIRST_TOKEN_SECONDS,
    "tier",
    "variant",
)
ATTEMPT_PER_TOKEN = _histogram(
    "tandem_attempt_time_per_output_token_seconds",
    "Time per token after the first, of attempts that answered.",
    PER_TOKEN_SECONDS,
    "tier",
    "variant",
)
SEAMS = _counter(
    "tandem_seams_total",
    "Answers that another model went on with in the middle.",
    "from_tier",
    "to_tier",
    "reason",
)
TOKENS_USED = _counter(
    "tandem_tokens_total",
    "Tokens of attempts, also of those in vain, once they are counted.",
    "tier",
    "variant",
    "purpose",
    "direction",
)
COST = _counter(
    "tandem_cost_usd_total", "What those tokens cost by the catalogue.", "tier", "variant", "purpose"
)
SETTLED = _counter(
    "tandem_settled_attempts_total",
    "Attempts whose tokens are counted, by whether the engine itself said how many.",
    "tier",
    "variant",
    "by_engine",
)
# What requests were taken for.
COMPLEXITY = _histogram(
    "tandem_signal_complexity",
    "How hard requests were found to be, 0 to 10.",
    (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0),
)
R1_SUFFICES = _histogram(
    "tandem_signal_r1_suffices_ratio",
    "Probability that the answer of R1 suffices, by the classifier.",
    RATIOS,
)
# How they are routed.
SHARE = _gauge("tandem_share_ratio", "Share of the last requests for which the strong tier was asked.")
SHARE_TARGET = _gauge(
    "tandem_share_target_ratio", "Share of requests that the strong tier is to be asked for."
)
SHARE_COST = _gauge(
    "tandem_share_cost_usd", "What the last requests cost on average, where money is the target."
)
SHARE_COST_TARGET = _gauge(
    "tandem_share_cost_target_usd", "What a request is to cost, where money is the target."
)
SHARE_LOST = _gauge("tandem_share_out_of_reach", "1 while the target cannot be held, else 0.")
THRESHOLD = _gauge(
    "tandem_routing_threshold_ratio",
    "Probability that R1 suffices from which it answers: as configured, and as the target moved it.",
    "kind",
)  # configured, live
# Every model, as it is now.
IN_FLIGHT = _gauge("tandem_in_flight", "Attempts under way.", "tier", "variant")
QUEUED = _gauge("tandem_queued", "Attempts that wait for a free place.", "tier", "variant")
SHED = _counter("tandem_shed_total", "Attempts that got no place in time.", "tier", "variant")
LIMIT = _gauge(
    "tandem_concurrency_limit", "Most attempts at a time, as the model bears them now.", "tier", "variant"
)
MOST = _gauge(
    "tandem_concurrency_limit_max",
    "Most attempts at a time: this orchestrator's part of what all instances bear by the catalogue.",
    "tier",
    "variant",
)
INSTANCES = _gauge("tandem_instances", "Tritons of the tier that take connections.", "tier", "variant")
SHARERS = _gauge("tandem_sharers", "Orchestrators that share them, this one included.", "tier", "variant")
BREAKER = _gauge(
    "tandem_breaker_state",
    "1 for the state that the breaker is in, 0 for the others.",
    "tier",
    "variant",
    "state",
)
BREAKER_OPENINGS = _counter(
    "tandem_breaker_openings_total", "Times that a breaker opened.", "tier", "variant"
)
# The ledger.
LEDGER_LAG = _gauge("tandem_ledger_lag_entries", "Entries that are not yet in the database.")
LEDGER_WRITTEN = _counter("tandem_ledger_written_total", "Entries that were written.")
LEDGER_DROPPED = _counter("tandem_ledger_dropped_total", "Entries that are lost.")
LEDGER_ERRORS = _counter("tandem_ledger_errors_total", "Tries to write that the database refused.")
# What the process is.
BUILD = _info("tandem_build_info", "Version of Tandem.", "version")
POLICY = _info("tandem_policy_info", "Revision of the policy that counts.", "revision")
REFUSED = _gauge(
    "tandem_documents_refused",
    "1 while the policy or the catalogue in the files is not used, being wrong; else 0.",
)
CATALOGUE = _info("tandem_catalogue_info", "Revision of the catalogue that counts.", "revision")
CLASSIFIER_ARTIFACT = _info(
    "tandem_classifier_artifact_info", "Revision of the classifier's artifact.", "revision"
)
FUSION_ARTIFACT = _info("tandem_fusion_artifact_info", "Revision of the fusion's artifact.", "revision")
# Every service's edge; names as the gRPC middlewares of other languages have them.
RPC_HANDLED = _counter(
    "grpc_server_handled_total", "RPCs that have ended.", "grpc_service", "grpc_method", "grpc_code"
)
RPC_SECONDS = _histogram(
    "grpc_server_handling_seconds", "Time that RPCs took.", SECONDS, "grpc_service", "grpc_method"
)
RPC_IN_FLIGHT = _gauge("tandem_rpc_in_flight", "RPCs under way.")
SPANS = _counter("tandem_spans_exported_total", "Spans that reached the collector of traces.")
SPANS_DROPPED = _counter("tandem_spans_dropped_total", "Spans that were to be kept and did not reach it.")
# The classifier.
CLASSIFIER_SECONDS = _histogram(
    "tandem_classifier_duration_seconds", "Time to find the signals of a request.", QUICK_SECONDS
)
TASKS = _counter("tandem_classifier_tasks_total", "Requests, by what they want done.", "task")
DOMAINS = _counter("tandem_classifier_domains_total", "Requests, by field of knowledge.", "domain")
LANGUAGES = _counter("tandem_classifier_languages_total", "Requests, by language.", "language")
# Fusion.
FUSION_SECONDS = _histogram(
    "tandem_fusion_duration_seconds", "Time to choose one of several answers.", QUICK_SECONDS
)
FUSIONS = _counter("tandem_fusions_total", "Choices, by the rule that decided.", "rule")
AGREEMENT = _histogram(
    "tandem_fusion_agreement_ratio", "Weight of the answer that won over the weight of all.", RATIOS
)
# Inference.
ENGINE_ANSWERS = _counter(
    "tandem_engine_answers_total", "Answers of engines that have ended, by how.", "tier", "variant", "outcome"
)
RECEIPTS = _counter(
    "tandem_engine_receipts_total",
    "Questions after what a cut attempt took, by what came of them.",
    "tier",
    "variant",
    "outcome",
)  # by_engine, received, late
READY = _gauge(
    "tandem_variant_ready", "1 while Triton says that the variant can answer, else 0.", "tier", "variant"
)
# GenAI semantic conventions, v1.41.0, as Prometheus spells them; `tier` and `variant` are Tandem's own beside them.
GEN_AI: Final = ("chat", "triton")
"""Operation and provider: every attempt is a chat with a model on Triton."""
_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
CLIENT_TOKENS = _histogram(
    "gen_ai_client_token_usage",
    "Number of input and output tokens used.",
    TOKENS,
    *_GEN_AI,
    "gen_ai_token_type",
    "tier",
    "variant",
)
CLIENT_SECONDS = _histogram(
    "gen_ai_client_operation_duration_seconds",
    "GenAI operation duration.",
    OPERATION_SECONDS,
    *_GEN_AI,
    "error_type",
    "tier",
    "variant",
)
CLIENT_FIRST_CHUNK = _histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "Time to receive the first chunk.",
    OPERATION_SECONDS,
    *_GEN_AI,
    "tier",
    "variant",
)
SERVER_SECONDS = _histogram(
    "gen_ai_server_request_duration_seconds",
    "Generative AI server request duration.",
    OPERATION_SECONDS,
    *_GEN_AI,
    "error_type",
    "tier",
    "variant",
)
SERVER_FIRST_TOKEN = _histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Time to generate the first token, of successful answers.",
    FIRST_TOKEN_SECONDS,
    *_GEN_AI,
    "tier",
    "variant",
)
SERVER_PER_TOKEN = _histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Time per token after the first, of successful answers.",
    PER_TOKEN_SECONDS,
    *_GEN_AI,
    "tier",
    "variant",
)

METRICS: Final = {found.name: found for found in list(vars().values()) if isinstance(found, Metric)}
"""All of them by name; beside them there are the `process_` metrics of the library."""
