"""What a row gave, and the bars that it may break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fault_matrix.books import Books
from fault_matrix.checker import Tally
from fault_matrix.row import Row

LEAST_IN_TIME: Final = 0.999
MOST_AMPLIFICATION: Final = 1.1
MOST_LEDGER_ERROR: Final = 0.001


@dataclass(frozen=True, slots=True)
class Result:
    """What a row gave."""

    row: Row
    tally: Tally
    books: Books
    folder: Path | None = None
    """Where the logs and the ledger of a row lie that broke a bar."""

    @property
    def broken(self) -> list[str]:
        """The bars that it breaks."""
        tally, books = self.tally, self.books
        bars: Mapping[str, bool] = {
            "in_time": self.row.healthy_tier and tally.in_time < LEAST_IN_TIME * tally.waited,
            "late": tally.late > 0,
            "lost": tally.lost > 0,
            "byte_errors": tally.byte_errors > 0,
            "amplification": (books.amplification or 0.0) > MOST_AMPLIFICATION,
            "ledger_error": (books.ledger_error or 0.0) > MOST_LEDGER_ERROR,
        }
        return [bar for bar, breaks in bars.items() if breaks]
