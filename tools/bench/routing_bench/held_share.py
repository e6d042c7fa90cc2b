"""How well the live control holds the share of the strong tier on traffic that drifts; `share.py` has all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import share
from routing_bench.corpus import RowMissing
from routing_bench.row import Row
from share_report import BAR
from share_traffic import kinds, scenarios

REQUESTS: Final = 20_000
QUICK_REQUESTS: Final = 4_000


def held_share(data: Path, *, quick: bool) -> list[Row]:
    """Return the largest error of the share once it has settled, in points, over all scenarios.

    Its interval is that from the best scenario to the worst.

    Raises:
        RowMissing: a table that the traffic is drawn from is not there.
    """
    requests = QUICK_REQUESTS if quick else REQUESTS
    try:
        pool = kinds(data)
    except FileNotFoundError as missing:
        raise RowMissing(str(missing)) from None
    bench = share.Bench(share.arguments([str(data), "--requests", str(requests)]), pool)
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
