"""Where the router does well and where not: by language, domain and length."""

from __future__ import annotations

from typing import Final

import numpy as np

from routing_bench.contenders import Measured
from routing_bench.corpus import Corpus
from routing_bench.protocol import apgr, interval
from routing_bench.row import Row

LENGTHS: Final = ((0, 200), (200, 600), (600, 1 << 30))
"""In characters."""
LEAST: Final = 100
"""Fewest questions of a slice."""


def slices(corpus: Corpus, found: dict[str, Measured]) -> list[Row]:
    """Return a row for each slice of tables measured by question: a mean over tables of the APGR in each."""
    parts: dict[str, list[Measured]] = {}
    for name, measured in found.items():
        table = corpus.source(name).table
        sizes = np.array([len(table.texts[row]) for row in measured.places])
        masks = {f"language {table.language}": np.ones(len(sizes), np.bool_)}
        for low, high in LENGTHS:
            masks[f"length {low}+ characters"] = (sizes >= low) & (sizes < high)
        domains = np.array([table.domains[row] for row in measured.places])
        masks |= {f"domain {domain}": domains == domain for domain in sorted(set(domains))}
        for label, mask in masks.items():
            if mask.sum() >= LEAST:
                parts.setdefault(label, []).append(measured.take(mask))
    return [_row(label, measured) for label, measured in sorted(parts.items())]


def _row(label: str, parts: list[Measured]) -> Row:
    outcomes = [part.outcome for part in parts]
    low, high = interval(outcomes)
    more = {"questions": sum(map(len, outcomes)), "tables": len(parts)}
    return Row(f"slice, {label}", float(np.nanmean([apgr(each) for each in outcomes])), low, high, more=more)
