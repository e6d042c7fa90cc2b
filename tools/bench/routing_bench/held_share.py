"""How well the live control holds the share of the strong tier on traffic that drifts; `share.py` has all of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import share
from routing_bench.corpus import RowMissing
from routing_bench.row import Row
from share_report import BAR
from share_traffic import Question, kinds, scenarios

REQUESTS: Final = 20_000
QUICK_REQUESTS: Final = 4_000


def held_share(folders: Sequence[Path], *, quick: bool) -> list[Row]:
    """Return the largest error of the share once it has settled, in points, over all scenarios.

    Its interval is that from the best scenario to the worst. The traffic is drawn from the first folder that has all
    of it: nothing is learned from it.

    Raises:
        RowMissing: none has.
    """
    requests = QUICK_REQUESTS if quick else REQUESTS
    folder, pool = _traffic(folders)
    bench = share.Bench(share.arguments([str(folder), "--requests", str(requests)]), pool)
    errors = []
    for scenario in scenarios(requests):
        replay, routed = bench.run(scenario)
        best = replay.right(routed[share.ORACLE])
        errors.append(replay.row(share.LIVE, routed[share.LIVE], best).settled_max)
    more = {"scenarios": len(errors), "requests": requests}
    return [
        Row(
            "share controller, settled error in points",
            max(errors),
            min(errors),
            max(errors),
            bar=BAR,
            smaller=True,
            more=more,
        )
    ]


def _traffic(folders: Sequence[Path]) -> tuple[Path, dict[str, list[Question]]]:
    lacking = []
    for folder in folders:
        try:
            found = kinds(folder)
        except (FileNotFoundError, KeyError) as missing:
            lacking.append(f"{folder}: {missing}")
            continue
        if all(found.values()):
            return folder, found
        lacking.append(f"{folder}: a table without rows")
    raise RowMissing("; ".join(lacking))
