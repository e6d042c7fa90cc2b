"""Learns from one's own traffic: labels of a ledger → an adapted artifact, if it is better than the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.classifier.artifact import Artifact, load_artifact, write_artifact
from tandem.classifier.conversation import read
from tandem.ledger.labelled import Labelled, labelled
from tandem.ledger.schema import reading
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.own_adapting import Adapted, Own, adapt, written
from tandem.training.classifier.own_measure import Measured, cross_validated
from tandem.training.classifier.own_rows import lay

LEAST: Final = 50
"""Judged conversations that are needed of one tier."""
MOST: Final = 2000
"""The newest that are learned from: the work grows with their cube."""

Say = Callable[[str], None]


class NotPublished(Exception):
    """There is no artifact; the message says why and what to do."""


class TooFewLabels(NotPublished):
    """There are fewer labels than anything can be measured on."""


class NotBetter(NotPublished):
    """The adapted artifact is not better beyond noise; `measured` has the figures."""

    def __init__(self, measured: Measured) -> None:
        worse = [each.name for each in measured.figures if each.worse]
        better = [each.name for each in measured.figures if each.better]
        found = f"better: {', '.join(better) or 'nothing'}; worse: {', '.join(worse) or 'nothing'}"
        super().__init__(
            "Nothing was written: the adapted artifact is not better beyond noise than the one it started from, on "
            f"labels that it was not adapted to ({found}). Better must be: {', '.join(measured.deciding)}; "
            "and nothing may be worse. Keep the artifact, collect more "
            "verdicts, or, where only the level of its claims is wrong, set thresholds with "
            "`tandem calibrate --from-ledger`."
        )
        self.measured = measured


@dataclass(frozen=True, slots=True)
class Counts:
    """How many labels there are: of each tier, of both at once, and groups of near-duplicates."""

    r1: int
    pro: int
    both: int
    groups: int


@dataclass(frozen=True, slots=True)
class Published:
    """What was made."""

    revision: str
    before: str
    counts: Counts
    measured: Measured


def learn(url: str, base: Path, out: Path, say: Say) -> Published:
    """Adapt an artifact to the labels of a ledger and write it, if it is better than before.

    The same labels and artifact give the same bytes on the same machine.

    Args:
        url: SQLAlchemy URL of the ledger.
        base: the artifact to start from.
        out: where the new one is written; may be the same file.
        say: told what happens.

    Raises:
        TooFewLabels: there are not enough labels.
        NotBetter: what was learned is not better; nothing is written.
        LedgerUnusable: the ledger cannot be read.
        ArtifactUnusable: the artifact cannot be read, or would be too large.
    """
    artifact = load_artifact(base)
    with reading(url) as connection:
        found = list(labelled(connection))[-MOST:]
    counts = _enough(found)
    say(f"{counts.r1} verdicts on R1, {counts.pro} on Pro, {counts.both} on both")
    with threadpool_limits(1):  # sums depend on how many threads share them
        own = _of_tiers_with_enough(laid_out(artifact, found))
        measured = cross_validated(artifact.header, own)
        if not measured.better:
            raise NotBetter(measured)
        adapted = adapt(artifact.header, own)
        counts = count(own)
        revision = write(artifact, adapted, _card(artifact, counts, measured), out)
    return Published(revision, artifact.revision, counts, measured)


def laid_out(artifact: Artifact, found: Sequence[Labelled]) -> Own:
    """Lay labelled conversations out as the artifact reads them, near-duplicates in one group."""
    conversations = [read(each.messages) for each in found]
    texts = [f"{each.context}\n{each.question}" for each in conversations]
    return Own(
        lay(artifact, conversations),
        np.array([np.nan if each.r1_right is None else each.r1_right for each in found]),
        np.array([np.nan if each.pro_right is None else each.pro_right for each in found]),
        clusters(texts, [each.question for each in conversations]),
    )


def count(own: Own) -> Counts:
    """Count labels."""
    r1, pro = ~np.isnan(own.r1), ~np.isnan(own.pro)
    return Counts(int(r1.sum()), int(pro.sum()), int((r1 & pro).sum()), len(np.unique(own.groups)))


def write(artifact: Artifact, adapted: Adapted, card: dict[str, object], out: Path) -> str:
    """Write an adapted artifact; return its revision."""
    header, weights = written(artifact, adapted, card)
    return write_artifact(out, header, weights, artifact.terms)


def _enough(found: Sequence[Labelled]) -> Counts:
    r1 = sum(each.r1_right is not None for each in found)
    pro = sum(each.pro_right is not None for each in found)
    if max(r1, pro) < LEAST:
        raise TooFewLabels(
            f"The ledger has {r1} kept conversations with a verdict on R1 and {pro} with one on Pro; at least {LEAST} "
            "of one tier are needed, and 200 or more of both are advised. Keep conversations "
            "(TANDEM_ORCHESTRATOR_LEDGER_PROMPTS=true, or `tandem up --keep-prompts`) and book verdicts with "
            "`tandem ledger feedback`."
        )
    both = sum(each.r1_right is not None and each.pro_right is not None for each in found)
    return Counts(r1, pro, both, len(found))


def _of_tiers_with_enough(own: Own) -> Own:
    """Return labels without those of a tier that has too few."""
    r1, pro = (
        right if np.count_nonzero(~np.isnan(right)) >= LEAST else np.full_like(right, np.nan)
        for right in (own.r1, own.pro)
    )
    return replace(own, r1=r1, pro=pro)


def _card(artifact: Artifact, counts: Counts, measured: Measured) -> dict[str, object]:
    """Return what the model card says of the adaptation: counts and figures, and nothing of any text."""
    return {
        "from": artifact.revision,
        "verdicts on R1": counts.r1,
        "verdicts on Pro": counts.pro,
        "verdicts on both": counts.both,
        "groups of near-duplicates": counts.groups,
        "protocol": "cross-validated over these verdicts, near-duplicates in one fold",
        "figures": {
            each.name: {"before": round(each.before, 4), "after": round(each.after, 4)}
            for each in measured.figures
        },
    }
