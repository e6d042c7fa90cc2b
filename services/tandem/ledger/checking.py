"""Compares the ledger's tokens with those that the engines counted themselves, as Triton's metrics publish them."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.ledger.queries import ModelTokens

FETCH_SECONDS: Final = 10.0
COUNTERS: Final = {
    "tandem_engine_input_tokens_total": "input",
    "tandem_engine_output_tokens_total": "output",
    "vllm:prompt_tokens_total": "input",
    "vllm:generation_tokens_total": "output",
}
"""What the counters of Tandem's engines and of the vLLM backend count."""
_SAMPLE: Final = re.compile(r'^([a-z_:]+)\{(?:[^}]*,)?model="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)

Counts = dict[tuple[str, str], int]
"""Tokens by Triton model and kind."""


class MetricsUnreadable(Exception):
    """A metrics endpoint does not answer, or has no engine's counters."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of token of one Triton model."""

    model: str
    kind: str
    """`input` or `output`."""
    ledger: int
    engine: int
    unsettled_attempts: int

    @property
    def difference_percent(self) -> float | None:
        """By how much the ledger has more than the engine; None if only the ledger has any."""
        if self.engine == 0:
            return None if self.ledger else 0.0
        return 100.0 * (self.ledger - self.engine) / self.engine

    def within(self, tolerance_percent: float) -> bool:
        """Return True if the two agree."""
        difference = self.difference_percent
        return difference is not None and abs(difference) <= tolerance_percent


def fetch_counts(urls: Iterable[str]) -> Counts:
    """Return the sums of the engines' counters at several metrics endpoints.

    Raises:
        MetricsUnreadable: one of them does not answer, or counts no tokens.
    """
    sums: Counts = defaultdict(int)
    for url in urls:
        found = parse_counts(_fetch(url))
        if not found:
            raise MetricsUnreadable(
                f"{url} has no counters of tokens ({', '.join(COUNTERS)}); name the metrics address of a Triton that "
                "serves Tandem's models, http://HOST:8002/metrics"
            )
        for key, count in found.items():
            sums[key] += count
    return dict(sums)


def parse_counts(text: str) -> Counts:
    """Return the engines' counters in a text in Prometheus's format."""
    sums: Counts = defaultdict(int)
    for name, model, value in _SAMPLE.findall(text):
        if name in COUNTERS:
            sums[model, COUNTERS[name]] += round(float(value))
    return dict(sums)


def compare(ledger: Mapping[str, ModelTokens], engine: Counts) -> list[Comparison]:
    """Return the comparison of every model that either of them knows."""
    compared = []
    for model in sorted({*ledger, *(name for name, _ in engine)}):
        booked = ledger.get(model, ModelTokens())
        for kind, tokens in (("input", booked.input_tokens), ("output", booked.output_tokens)):
            counted = engine.get((model, kind), 0)
            compared.append(Comparison(model, kind, tokens, counted, booked.unsettled_attempts))
    return compared


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as response:  # noqa: S310 - the operator names it
            return str(response.read(), "utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise MetricsUnreadable(
            f"cannot read {url}: {cause}; name Triton's metrics address, http://HOST:8002/metrics"
        ) from error
