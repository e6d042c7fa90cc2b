"""Would catch a count that leaves out a part of what callgrind wrote, or makes one of nothing."""

from __future__ import annotations

import pytest

from instructions import compared, total
from overhead_report import COUNTED, telemetry_table


def test_all_parts_are_added_up() -> None:
    assert total("version: 1\nsummary: 0\ntotals: 40\n\nfn=(1)\n+1 totals: 7\ntotals: 2\n") == 42


def test_a_file_without_a_total_is_refused() -> None:
    with pytest.raises(ValueError, match="no totals"):
        total("version: 1\n")


def test_what_tracing_costs_is_told_as_ratios_to_none() -> None:
    named = compared({"off": 3.0e6, "sampled": 3.03e6, "full": 3.3e6})
    assert (named["instructions_ratio_sampled"], named["instructions_ratio_full"]) == (1.01, 1.1)
    assert named["million_instructions_full"] == 3.3
    assert set(named) == set(COUNTED)
    assert telemetry_table(named).count("MISSED") == 1
