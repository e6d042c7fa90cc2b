"""The live control of the strong tier's share, on traffic that drifts, beside a fixed threshold and an oracle.

Recorded questions go through the classifier once; then the orchestrator's own planner routes them, in mixes that drift,
on a clock that does not wait. The fixed threshold is the one that gives the target on the steady mix, and the live
control begins with it. The oracle knows the scores of each window in advance, hindsight those of all requests, so it
asks the strong tier as often in total, but not evenly. What the figures mean: docs/share.md.

The figures go to standard output, everything else to standard error. Exit status 1: the live control left its bar.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from share_money import MoneyRow, money_row, money_table
from share_plot import plot
from share_replay import Routed, by_oracle, by_planner, with_policy
from share_report import Replay, Row, as_object, table
from share_traffic import Question, Scenario, draw, kinds, scenarios
from tandem.calibration.thresholds import cut_for_share
from tandem.catalogue import Catalogue, load_catalogue
from tandem.deployment import deploy_folder
from tandem.orchestrator.policy import Policy, load_policy
from tandem.orchestrator.routing_policy import Target

LIVE: Final = "live control"
FIXED: Final = "fixed threshold"
ORACLE: Final = "oracle"
HINDSIGHT: Final = "hindsight"
MONEY_WINDOWS: Final = 2
"""Of a share, in one of money: the lengths of answers scatter, too."""


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


class Options(argparse.Namespace):
    """The command line."""

    data: Path
    requests: int
    target: float
    window: int
    usd_per_1k: float
    seed: int
    json: bool
    plots: Path | None


def arguments(words: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the recorded answers")
    parser.add_argument("--requests", type=int, default=20_000, help="of each scenario (default %(default)s)")
    parser.add_argument("--target", type=float, default=0.3, help="share to be held (default %(default)s)")
    parser.add_argument(
        "--window", type=int, default=1000, help="requests that a share is of (default %(default)s)"
    )
    parser.add_argument(
        "--usd-per-1k", type=float, default=0.25, help="cost to be held in a second run (default %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    parser.add_argument("--plots", type=Path, metavar="FILE", help="write a picture, a PNG file")
    return parser.parse_args(words, Options())


class Bench:
    """Everything that all scenarios share."""

    def __init__(self, options: Options, pool: Mapping[str, Sequence[Question]]) -> None:
        self._options = options
        self._pool = pool
        self._catalogue: Catalogue = load_catalogue(deploy_folder() / "catalogue.yaml")
        self._policy: Policy = load_policy(deploy_folder() / "policy.yaml", self._catalogue)
        steady = draw(scenarios(options.requests)[0], pool, options.requests, options.seed + 1)
        scores = np.array([each.question.signals.r1_suffices.value for each in steady])
        self.threshold = cut_for_share(scores, options.target).threshold.value

    def money(self, scenario: Scenario) -> MoneyRow:
        """Let the live control route the requests of a scenario under a target of money."""
        requests = draw(scenario, self._pool, self._options.requests, self._options.seed)
        target = Target.model_validate({"usd_per_1k": self._options.usd_per_1k})
        policy = with_policy(self._policy, self.threshold, target)
        replay = Replay(scenario.name, requests, [0], 0.0, MONEY_WINDOWS * self._options.window)
        return money_row(replay, self._catalogue, policy)

    def run(self, scenario: Scenario) -> tuple[Replay, dict[str, Routed]]:
        """Let everybody route the requests of a scenario."""
        count, target = self._options.requests, self._options.target
        requests = draw(scenario, self._pool, count, self._options.seed)
        changes = [0, *(round(place * count) for place in scenario.changes)]
        replay = Replay(scenario.name, requests, changes, target, self._options.window)
        live, fixed = (
            with_policy(self._policy, self.threshold, share) for share in (Target(share=target), None)
        )
        return replay, {
            FIXED: by_planner(self._catalogue, fixed, requests),
            ORACLE: by_oracle(requests, target, self._options.window),
            HINDSIGHT: by_oracle(requests, target, count),
            LIVE: by_planner(self._catalogue, live, requests),
        }


def main() -> int:
    """Run the bench; return the exit status."""
    options = arguments()
    pool = kinds(options.data)
    say(", ".join(f"{len(questions)} of {name}" for name, questions in pool.items()))
    bench, replays, rows = Bench(options, pool), [], list[Row]()
    for scenario in scenarios(options.requests):
        replay, routed = bench.run(scenario)
        replays.append((replay, routed))
        best = replay.right(routed[ORACLE])
        rows += [replay.row(name, routed[name], best) for name in (LIVE, FIXED, ORACLE, HINDSIGHT)]
        say(f"{scenario.name}: off by {rows[-4].settled_max:.2f} points at most, settled")
    money = [bench.money(scenario) for scenario in scenarios(options.requests) if not scenario.equal]
    if options.plots:
        plot(replays, options.plots)
    if options.json:
        facts = {name: getattr(options, name) for name in ("target", "window", "requests", "seed")}
        print(json.dumps(as_object(rows, money, threshold=bench.threshold, **facts)))
    else:
        print(f"{table(rows)}\n\n{money_table(money)}")
    return 0 if all(row.met for row in rows if row.contender == LIVE) else 1


if __name__ == "__main__":
    sys.exit(main())
