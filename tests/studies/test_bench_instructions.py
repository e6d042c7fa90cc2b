"""Would catch a count that leaves out a part of what callgrind wrote, or makes one of nothing."""

from __future__ import annotations

import pytest

from instructions import total


def test_all_parts_are_added_up() -> None:
    assert total("version: 1\nsummary: 0\ntotals: 40\n\nfn=(1)\n+1 totals: 7\ntotals: 2\n") == 42


def test_a_file_without_a_total_is_refused() -> None:
    with pytest.raises(ValueError, match="no totals"):
        total("version: 1\n")
