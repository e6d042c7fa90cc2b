"""How answers and plans look on a terminal. Answers go to standard output, everything about them to standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tandem.v1 import orchestrator_pb2, types_pb2

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """Writes the events of a streamed answer as they come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = stream.isatty()
        self._thinking = False
        self._begun = False

    def show(self, event: orchestrator_pb2.StreamGenerateResponse) -> None:
        """Write one event. Reasoning is shown on a terminal only, dimmed: a pipe gets the answer alone."""
        if event.HasField("reasoning") and self._colours:
            self._write(event.reasoning.delta if self._thinking else _DIM + event.reasoning.delta)
            self._thinking = True
        elif event.HasField("text"):
            self._stop_thinking()
            self._write(event.text.delta)
        elif event.HasField("revision"):
            self._stop_thinking()
            mark = (
                f"{_DIM}— revised by {tier_name(event.revision.answered_by)} —{_PLAIN}"
                if self._colours
                else ""
            )
            self._write(f"\n\n{mark}\n{event.revision.text}")

    def end(self) -> None:
        """Finish the line, if there is one."""
        self._stop_thinking()
        if self._begun:
            self._write("\n")

    def _stop_thinking(self) -> None:
        if self._thinking:
            self._write(f"{_PLAIN}\n\n")
            self._thinking = False

    def _write(self, text: str) -> None:
        self._begun = True
        self._stream.write(text)
        self._stream.flush()


def word(name: str, prefix: str) -> str:
    """Return the word of an enum's value without the enum's prefix; `undecided` for UNSPECIFIED."""
    short = name.removeprefix(prefix)
    return "undecided" if short == "UNSPECIFIED" else short.lower().replace("_", " ")


def tier_name(target: types_pb2.Target) -> str:
    """Return `tier/variant`."""
    return f"{target.tier}/{target.variant}" if target.tier else "-"


def reason(answer: types_pb2.Answer) -> str:
    """Return in words why this model answered."""
    if answer.cache == types_pb2.CACHE_OUTCOME_HIT:
        return f"from the cache, made for request {answer.source_request_id}"
    if answer.cache == types_pb2.CACHE_OUTCOME_SHARED:
        return f"shared with request {answer.source_request_id}"
    # Under a rule the first reason is its name.
    words = list(answer.plan.reasons[: 2 if answer.plan.rule else 1])
    words += [
        f"{word(types_pb2.DegradationReason.Name(d.reason), 'DEGRADATION_REASON_')}: {d.detail}"
        for d in answer.degradations
    ]
    return "; ".join(words) or "-"


def time_per_token_ms(answer: types_pb2.Answer) -> float | None:
    """Return the mean time between tokens of the answer after the first; None if that cannot be told."""
    tokens = answer.usage.output_tokens
    if not answer.HasField("ttft_ms") or tokens < 2:
        return None
    return (answer.duration_ms - answer.ttft_ms) / (tokens - 1)


def show_answer(answer: types_pb2.Answer) -> None:
    """Show how an answer came about."""
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(answer):
        table.add_row(f"[dim]{name}[/dim]", escape(value))
    Console(stderr=True).print(table)


def _facts(answer: types_pb2.Answer) -> list[tuple[str, str]]:
    tpot = time_per_token_ms(answer)
    return [
        ("tier", tier_name(answer.answered_by)),
        ("why", reason(answer)),
        *([("gate", gate_words(answer.gate))] if answer.HasField("gate") else []),
        ("tokens", f"{answer.usage.input_tokens} in, {answer.usage.output_tokens} out"),
        ("first token", f"{answer.ttft_ms:.0f} ms" if answer.HasField("ttft_ms") else "-"),
        ("per token", f"{tpot:.1f} ms" if tpot is not None else "-"),
        ("cost", usd(answer.cost_nano_usd)),
        ("request", answer.request_id),
        *([("review", review_words(answer.review))] if answer.HasField("review") else []),
    ]


def gate_words(verdict: types_pb2.GateVerdict) -> str:
    """Return what the gate of a cascade said about the draft, and by which signals."""
    comparison = "<" if verdict.escalated else "≥"
    signals = [
        f"{name.replace('_', ' ')} {getattr(verdict, name):.2f}"
        for name in ("confidence", "r1_suffices", "agreement")
        if verdict.HasField(name)
    ]
    passes = f"the draft suffices: {verdict.probability:.2f} {comparison} {verdict.threshold:.2f}"
    return f"{passes} ({', '.join(signals)})" if signals else passes


def review_words(review: types_pb2.Review) -> str:
    """Return the case and its status."""
    return f"{review.id}: {word(types_pb2.ReviewStatus.Name(review.status), 'REVIEW_STATUS_')}"


def usd(nano_usd: int) -> str:
    """Return an amount of money for people."""
    return f"${nano_usd / 1e9:.7f}"


def show_plan(explained: orchestrator_pb2.ExplainResponse) -> None:
    """Show what would be done with a request, and why."""
    console, plan = Console(), explained.plan
    if explained.HasField("signals"):
        console.print(_signals_table(explained.signals))
    console.print(
        f"[bold]{word(types_pb2.Strategy.Name(plan.strategy), 'STRATEGY_')}[/bold]  {_arithmetic(plan)}"
    )
    attempts = Table("attempt", "allowance", "of it queue", "hung after", "tokens", "temperature", "top-k")
    for planned in plan.attempts:
        sampling = planned.sampling
        attempts.add_row(
            tier_name(planned.target),
            f"{planned.allowance_ms:.0f} ms",
            f"{planned.queue_ms:.0f} ms",
            f"{planned.patience_ms:.0f} ms",
            str(sampling.max_tokens),
            f"{sampling.temperature:.2f}",
            str(sampling.top_k),
        )
    console.print(attempts)
    console.print(_models_table(explained.models))
    if explained.options:
        console.print(_options_table(explained.options))
    for line in [*plan.reasons, *_fallbacks(plan)]:
        console.print(f"· {escape(line)}")


def show_signals(signals: types_pb2.Signals) -> None:
    """Show what was found out about a request, and why."""
    console = Console()
    console.print(_signals_table(signals))
    for line in [*signals.reasons, f"artifact {signals.artifact_revision}"]:
        console.print(f"· {escape(line)}")


def _arithmetic(plan: types_pb2.Plan) -> str:
    """Return how the time is divided."""
    reserve = f"reserve {plan.reserve_ms:.0f}"
    if plan.fallback_tokens:
        reserve += f" (for {plan.fallback_tokens} tokens of another model)"
    allowance = plan.attempts[0].allowance_ms if plan.attempts else 0.0
    return f"deadline {plan.deadline_ms:.0f} ms = margin {plan.margin_ms:.0f} + {reserve} + allowance {allowance:.0f}"


def _models_table(models: Sequence[types_pb2.ModelState]) -> Table:
    """Return what is known of the models: the numbers behind the plan."""
    table = Table(
        "model", "first token, p95", "per token, p95", "learned from", "under way", "waiting", "breaker"
    )
    for model in models:
        table.add_row(
            tier_name(model.target),
            f"{model.ttft_p95_ms:.0f} ms",
            f"{model.tpot_p95_ms:.1f} ms",
            f"{model.observations} attempts" if model.observations else "the catalogue",
            f"{model.in_flight} of {model.limit}",
            f"{model.queued}, {model.queue_ms:.0f} ms",
            word(types_pb2.BreakerState.Name(model.breaker), "BREAKER_STATE_"),
        )
    return table


def _options_table(options: Sequence[orchestrator_pb2.StrategyOption]) -> Table:
    """Return what each strategy would be worth; money is that of 1,000 such requests, else it would be all zeros."""
    table = Table("strategy", "models", "right", "cost/1000", "usually", "surely", "worth/1000", "")
    for option in options:
        marks = "best" if option.best else "" if option.fits else "too slow"
        table.add_row(
            word(types_pb2.Strategy.Name(option.strategy), "STRATEGY_"),
            ", ".join(map(tier_name, option.targets)),
            f"{option.expected_correctness:.1%}",
            f"${option.cost_nano_usd / 1e6:.3f}",
            f"{option.duration_ms / 1000:.1f} s",
            f"{option.longest_ms / 1000:.1f} s",
            f"${option.value_nano_usd / 1e6:.3f}",
            marks,
        )
    return table


def _signals_table(signals: types_pb2.Signals) -> Table:
    table = Table("signal", "value", "confidence")
    professional = signals.professional
    rows: Sequence[tuple[str, str, float]] = [
        ("complexity", f"{signals.complexity.value:.1f} of 10", signals.complexity.confidence),
        ("r1 suffices", f"{signals.r1_suffices.value:.2f}", signals.r1_suffices.confidence),
        ("expected gain of pro", f"{signals.expected_gain.value:+.2f}", signals.expected_gain.confidence),
        ("task", word(types_pb2.Task.Name(signals.task.value), "TASK_"), signals.task.confidence),
        ("domain", word(types_pb2.Domain.Name(signals.domain.value), "DOMAIN_"), signals.domain.confidence),
        ("language", signals.language.value, signals.language.confidence),
        (
            "professional",
            str(professional.value) if professional.HasField("value") else "undecided",
            professional.confidence,
        ),
    ]
    for name, value, confidence in rows:
        table.add_row(name, value, f"{confidence:.2f}")
    return table


def _fallbacks(plan: types_pb2.Plan) -> list[str]:
    tiers = {planned.target.tier for planned in plan.attempts}
    return [
        f"{word(types_pb2.AttemptOutcome.Name(row.on), 'ATTEMPT_OUTCOME_')} of {row.from_tier} → "
        f"{tier_name(row.target)}"
        + (f", at most {row.max_tokens} tokens" if row.HasField("max_tokens") else "")
        for row in plan.fallbacks
        if row.from_tier in tiers
    ]
