"""What a strategy is worth for a request: expected correctness × value − cost − time. Pure functions.

What is assumed stands at each of them; the numbers that it takes are in the policy's `value`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.orchestrator.gate import log_odds
from tandem.orchestrator.value_policy import Value


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is expected of something that answers."""

    right: float
    """Probability, 0 to 1, of a right answer."""
    nano_usd: float
    """Cost."""
    usual_ms: float
    """Time to the whole answer."""
    longest_ms: float
    """Time to it that is surely enough."""


def cascade(draft: Prospect, second: Prospect, samples: int, value: Value) -> Prospect:
    """Return what is expected of a cascade.

    The strong tier is assumed to be right wherever the cheap one is, and then some; or, where it is expected to be
    worse, to be wrong wherever the cheap one is. So the gate gets its part of the gain, or of the loss, at its part of
    the price.
    """
    sent_on = (1.0 - draft.right) * value.gate_finds + draft.right * value.gate_false_alarms
    gain = second.right - draft.right
    part = value.gate_finds if gain >= 0 else value.gate_false_alarms
    return Prospect(
        draft.right + part * gain,
        draft.nano_usd * (1 + samples) + sent_on * second.nano_usd,
        draft.usual_ms + sent_on * second.usual_ms,
        draft.longest_ms + second.longest_ms,
    )


def ensemble(voices: Sequence[Prospect], fuse_ms: float, value: Value) -> Prospect:
    """Return what is expected of a vote of at least one voice.

    As far as voices err together, the vote is as good as the best of them; as far as they do not, as good as a vote by
    log-odds in which all wrong ones say the same.
    """
    rights = [voice.right for voice in voices]
    apart = value.independence * vote_right(rights) + (1.0 - value.independence) * max(rights)
    return Prospect(
        apart,
        sum(voice.nano_usd for voice in voices),
        max(voice.usual_ms for voice in voices) + fuse_ms,
        max(voice.longest_ms for voice in voices) + fuse_ms,
    )


def vote_right(rights: Sequence[float]) -> float:
    """Return the probability that a vote is right whose voices err independently, each weighing its log-odds.

    One that is right no more than half of the time weighs nothing; a tie is right half of the time (Nitzan and Paroush
    1982, Optimal decision rules in uncertain dichotomous choice situations).
    """
    balances = {0.0: 1.0}
    for right in rights:
        weight = max(0.0, log_odds(right))
        moved: defaultdict[float, float] = defaultdict(float)
        for balance, probability in balances.items():
            # Rounded, so that the same votes in another order are the same balance.
            moved[round(balance + weight, 9)] += probability * right
            moved[round(balance - weight, 9)] += probability * (1.0 - right)
        balances = moved
    return sum(p * (0.5 if balance == 0 else float(balance > 0)) for balance, p in balances.items())


def net_nano_usd(prospect: Prospect, right_nano_usd: float, second_nano_usd: float) -> float:
    """Return what a prospect is worth, in billionths of a US dollar.

    Args:
        prospect: what is expected.
        right_nano_usd: what a right answer is worth.
        second_nano_usd: what a second of waiting costs.
    """
    waiting = prospect.usual_ms / 1000.0 * second_nano_usd
    return prospect.right * right_nano_usd - prospect.nano_usd - waiting


def best(prospects: Sequence[Prospect], nets: Sequence[float], usable_ms: float) -> int:
    """Return the index of the highest net value of those that surely fit into a time, of equal ones the first.

    If none fits, that of the quickest.
    """
    fitting = [index for index, prospect in enumerate(prospects) if prospect.longest_ms <= usable_ms]
    if not fitting:
        return min(range(len(prospects)), key=lambda index: prospects[index].longest_ms)
    return max(fitting, key=lambda index: nets[index])
