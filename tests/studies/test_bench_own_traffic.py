"""Would catch labels that a ledger mixes up on their way, and a table that shows another figure than was measured."""

from __future__ import annotations

import own_traffic
from tandem.ledger.labelled import Labelled
from tests.fakes.calls import user


def test_verdicts_come_back_from_a_ledger_with_their_questions() -> None:
    asked = [
        Labelled([user(f"问题 {number}")], float(number % 2), float(number % 3) / 2) for number in range(30)
    ]
    assert own_traffic.through_ledger(asked) == asked


def test_a_row_of_the_table() -> None:
    row = own_traffic.Row("lexeval", 200, "APGR", 0.4287, 0.59931, 0.1009, 0.2537, 0.8)
    assert own_traffic.table([row]).splitlines()[-1] == (
        "| lexeval | 200 | APGR | 0.4287 | 0.5993 | +0.1009 to +0.2537 | 80% |"
    )
