"""Every name that Tandem's telemetry uses; a test fails on one that is not here.

`tandem.*` are Tandem's own. The others are OpenTelemetry's semantic conventions 1.41.0
(https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs): those of generative AI on the spans of calls
to models, those of RPC on the spans of calls between services. Newer ones of generative AI are those of
https://github.com/open-telemetry/semantic-conventions-genai, version 0.1.0.
"""

from __future__ import annotations

from typing import Final

# --- traces


class SpanName:
    """Names of spans. A call to a service is named by its method, `tandem.v1.OrchestratorService/Generate`."""

    REQUEST: Final = "request"
    """One item of a batch, or the work that went on for others after its own caller had left."""
    CACHE: Final = "cache"
    """A look into the cache."""
    CLASSIFY: Final = "classify"
    """Finding the signals."""
    PLAN: Final = "plan"
    """Making the plan."""
    ATTEMPT: Final = "attempt"
    """One attempt, from its wait for a place to its end."""
    FUSE: Final = "fuse"
    """The vote, or the comparison of drafts."""
    RECORD: Final = "record"
    """Closing the books: until the engine has said what cut-off attempts took."""
    CHAT: Final = "chat"
    """A call to a model; its model follows, as the conventions want it."""
    TRITON: Final = "inference.GRPCInferenceService/ModelStreamInfer"
    """The inference service's call to Triton."""


class SpanEvent:
    """Names of events in spans."""

    FIRST_TOKEN: Final = "tandem.first_token"  # noqa: S105 - not a secret
    """The first token came."""
    SEAM: Final = "tandem.seam"
    """Another model went on with the answer."""


class Attribute:
    """Names of attributes of spans, events, links and resources."""

    # Of the request.
    REQUEST_ID: Final = "tandem.request_id"
    TENANT: Final = "tandem.tenant"
    STRATEGY: Final = "tandem.strategy"
    CHOSEN_BY: Final = "tandem.chosen_by"
    RULE: Final = "tandem.rule"
    CACHE_OUTCOME: Final = "tandem.cache.outcome"
    CACHE_SOURCE: Final = "tandem.cache.source_request_id"
    ANSWERED_BY: Final = "tandem.answered_by"
    DEGRADATIONS: Final = "tandem.degradations"
    DEADLINE_MS: Final = "tandem.deadline_ms"
    LEFT_MS: Final = "tandem.deadline_left_ms"
    TTFT_MS: Final = "tandem.ttft_ms"
    COST_USD: Final = "tandem.cost_usd"
    INPUT_TOKENS: Final = "tandem.usage.input_tokens"
    OUTPUT_TOKENS: Final = "tandem.usage.output_tokens"
    CONFIDENCE: Final = "tandem.confidence"
    KEEP: Final = "tandem.keep"

    # Of its parts.
    CACHE_LEVEL: Final = "tandem.cache.level"
    COMPLEXITY: Final = "tandem.signals.complexity"
    R1_SUFFICES: Final = "tandem.signals.r1_suffices"
    TASK: Final = "tandem.signals.task"
    DOMAIN: Final = "tandem.signals.domain"
    LANGUAGE: Final = "tandem.signals.language"
    ARTIFACT_REVISION: Final = "tandem.artifact.revision"
    POLICY_REVISION: Final = "tandem.policy.revision"
    THRESHOLD: Final = "tandem.plan.threshold"
    MARGIN_MS: Final = "tandem.plan.margin_ms"
    RESERVE_MS: Final = "tandem.plan.reserve_ms"
    AGREEMENT: Final = "tandem.fusion.agreement"
    FUSION_RULE: Final = "tandem.fusion.rule"
    SETTLED: Final = "tandem.settled"

    # Of an attempt.
    ATTEMPT: Final = "tandem.attempt.index"
    PURPOSE: Final = "tandem.attempt.purpose"
    OUTCOME: Final = "tandem.attempt.outcome"
    TIER: Final = "tandem.tier"
    VARIANT: Final = "tandem.variant"
    QUEUED_MS: Final = "tandem.attempt.queued_ms"
    ALLOWANCE_MS: Final = "tandem.attempt.allowance_ms"

    # Of a call to Triton.
    MODEL: Final = "tandem.triton.model"

    # Of a seam.
    SEAM_OFFSET: Final = "tandem.seam.byte_offset"
    SEAM_FROM: Final = "tandem.seam.from"
    SEAM_TO: Final = "tandem.seam.to"

    # Of a link.
    LINK: Final = "tandem.link"

    # OpenTelemetry: calls between services.
    ERROR_TYPE: Final = "error.type"
    RPC_SYSTEM: Final = "rpc.system.name"
    RPC_METHOD: Final = "rpc.method"
    RPC_STATUS: Final = "rpc.response.status_code"

    # OpenTelemetry: calls to models.
    GEN_AI_OPERATION: Final = "gen_ai.operation.name"
    GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
    GEN_AI_MODEL: Final = "gen_ai.request.model"
    GEN_AI_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
    GEN_AI_TEMPERATURE: Final = "gen_ai.request.temperature"
    GEN_AI_TOP_P: Final = "gen_ai.request.top_p"
    GEN_AI_TOP_K: Final = "gen_ai.request.top_k"
    GEN_AI_SEED: Final = "gen_ai.request.seed"
    GEN_AI_STREAM: Final = "gen_ai.request.stream"
    GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
    GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
    GEN_AI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
    GEN_AI_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
    GEN_AI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
    GEN_AI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
    GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
    GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"

    # OpenTelemetry: the process.
    SERVICE_NAME: Final = "service.name"
    SERVICE_NAMESPACE: Final = "service.namespace"
    SERVICE_VERSION: Final = "service.version"
    SERVICE_INSTANCE: Final = "service.instance.id"


SCOPE: Final = "tandem"
"""Name of the instrumentation scope of all spans."""
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
"""Version of the conventions that names without opt-in have."""
LATEST_GEN_AI: Final = "gen_ai_latest_experimental"
"""Value in `OTEL_SEMCONV_STABILITY_OPT_IN` that asks for the newer ones of generative AI."""
