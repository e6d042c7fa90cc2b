"""How often task and domain are found, of sources that nothing was learned from.

Each family of sources is left out in turn, with every near-duplicate of its texts elsewhere; what is left is learned
from, and the family is measured. An undecided answer is a wrong one. The recorded labels have no mathematics and no
science: an answer `mathematics` is right where the label says reasoning, `science` where it says general.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from routing_bench.row import Row, unseen
from tandem.classifier.encoder import Encoder
from tandem.classifier.features import Batch
from tandem.training.classifier.design import LIMIT, SPEC, extractor
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.labelled import (
    GENERATED,
    Labelled,
    as_recorded,
    labelled_texts,
    recorded_sources,
)
from tandem.training.classifier.labels import KINDS, Kind, LabelHead, Rows, fit_kind

mpl.use("Agg")

UNDECIDED: Final = "undecided"
BASELINES: Final = {"task": 0.57, "domain": 0.53}
BARS: Final = {"task": 0.70, "domain": 0.80}
MOST_BEHIND: Final = -0.05
"""How far Chinese may be behind English."""
DRAWS: Final = 500
SCALE_FLOOR: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of a text of a source left out; labels as the folder records them."""

    source: str
    language: str
    truth: str
    said: str
    confidence: float
    counts: bool = True
    """Whether it is of the mean that has a bar: that of the sources in the file of labelled texts."""


@dataclass(frozen=True, slots=True)
class Both:
    """Texts to learn from and to ask, by their places."""

    texts: Sequence[Labelled]
    learned: NDArray[np.intp]
    asked: NDArray[np.intp]
    recorded: frozenset[str]
    """Sources in the file of labelled texts of the folder that is asked."""
    taught: frozenset[str] = frozenset()
    """Sources in that of another folder, which is learned from."""


def left_out(folder: Path, encoder: Encoder | None = None) -> dict[str, list[Answer]]:
    """Return the answers of every family left out, by kind."""
    texts = labelled_texts(folder)
    asked = [at for at, text in enumerate(texts) if text.family != GENERATED]
    both = Both(texts, np.arange(len(texts)), np.array(asked, np.intp), recorded_sources(folder))
    return _by_kind(both, encoder)


def learned_elsewhere(train: Path, test: Path) -> dict[str, list[Answer]]:
    """Return the answers on the texts of one folder by heads learned from another, by kind.

    Families that the first folder has too are left out in turn, as if there were one folder. Where the second has
    sources that the first has not, the mean is of those alone.
    """
    learned = labelled_texts(train)
    asked = [text for text in labelled_texts(test) if text.family != GENERATED]
    places = np.arange(len(learned) + len(asked))
    first, second = places[: len(learned)], places[len(learned) :]
    return _by_kind(Both([*learned, *asked], first, second, recorded_sources(test), recorded_sources(train)))


def _by_kind(both: Both, encoder: Encoder | None = None) -> dict[str, list[Answer]]:
    rows = laid_out(both.texts, encoder)
    near = clusters([text.text for text in both.texts], [str(at) for at in range(len(both.texts))])
    return {name: list(_families(kind, both, rows, near)) for name, kind in KINDS.items()}


def laid_out(texts: Sequence[Labelled], encoder: Encoder | None = None) -> Rows:
    """Return the rows of texts."""
    batch: Batch = extractor(encoder).batch([text.text for text in texts])
    return Rows.of(batch, SPEC.buckets, batch.dense.mean(0), batch.dense.std(0) + SCALE_FLOOR, LIMIT)


def _families(kind: Kind, both: Both, rows: Rows, near: NDArray[np.intp]) -> Iterator[Answer]:
    """Give what is said of every family by a head that learned none of it: of families never learned, by one head."""
    texts = both.texts
    asked = [at for at in both.asked.tolist() if kind.of(texts[at])]
    learned_from = {texts[at].family for at in both.learned.tolist() if kind.learns(texts[at])}
    families = {texts[at].family for at in asked}
    new = families - learned_from
    sources = both.recorded & {texts[at].source for at in asked}
    counted = sources - both.taught or sources
    for group in [*({family} for family in sorted(families - new)), *([new] if new else [])]:
        held = np.array([at for at in asked if texts[at].family in group], np.intp)
        learned = both.learned[
            np.array([texts[at].family not in group for at in both.learned.tolist()])
            & ~np.isin(near[both.learned], near[held])
        ]
        calibrate = bool(both.taught) and group is new
        head = fit_kind(kind, rows.take(learned), [texts[at] for at in learned.tolist()], calibrate)
        for answer in answers(kind, head, rows.take(held), [texts[at] for at in held.tolist()]):
            yield replace(answer, counts=answer.source in counted)


def answers(kind: Kind, head: LabelHead, rows: Rows, texts: Sequence[Labelled]) -> list[Answer]:
    """Return what a head says of texts with a label of its kind."""
    heights = head.columns(rows.grams, rows.standard).astype(np.float64) / head.temperature
    heights = np.exp(heights - heights.max(axis=1, keepdims=True))
    chances = heights / heights.sum(axis=1, keepdims=True)
    found: list[Answer] = []
    for text, chance in zip(texts, chances, strict=True):
        best = int(chance.argmax())
        decided = chance[best] >= head.threshold
        said = as_recorded(head.labels[best]) if decided else UNDECIDED
        truth = as_recorded(kind.of(text) or UNDECIDED)
        found.append(Answer(text.source, text.language, truth, said, float(chance[best])))
    return found


def label_rows(found: Mapping[str, Sequence[Answer]]) -> list[Row]:
    """Return the rows of the bench for the answers of each kind; that of the bar, if any answer counts."""
    return [row for name, said in found.items() for row in _kind_rows(name, said)]


def _kind_rows(name: str, said: Sequence[Answer]) -> Iterator[Row]:
    recorded = [answer for answer in said if answer.counts]
    if recorded:
        sources = sorted({answer.source for answer in recorded})
        whole = accuracy(f"{name}, source left out", recorded, BASELINES[name], BARS[name])
        yield replace(whole, more={"sources": sources, "texts": len(recorded)})
    by_language = {
        language: [answer for answer in recorded if answer.language == language] for language in ("en", "zh")
    }
    for language, own in by_language.items():
        if own:
            yield accuracy(f"{name}, source left out, {language}", own)
    if all(by_language.values()):
        yield behind(f"{name}, Chinese minus English", by_language["zh"], by_language["en"])
    for source in sorted({answer.source for answer in said}):
        yield accuracy(f"{name} of {source}", [answer for answer in said if answer.source == source])
    for label in sorted({answer.truth for answer in recorded}):
        yield accuracy(f"{name} {label}, found", [answer for answer in recorded if answer.truth == label])
    for language, own in (("all", recorded), *by_language.items()):
        if own:
            yield macro_f1_row(f"{name}, macro-F1, {language}", own)


def mean_accuracy(said: Sequence[Answer]) -> float:
    """Return the mean over sources of how often the answer is right."""
    return float(np.mean([np.mean([a.said == a.truth for a in own]) for own in _by_source(said)]))


def macro_f1(said: Sequence[Answer]) -> float:
    """Return the mean F1 over the labels that occur as truth."""
    return _macro_f1(*_codes(said))


def macro_f1_row(name: str, said: Sequence[Answer]) -> Row:
    """Return the row of the mean F1, with the interval of texts drawn anew within each source (95 %)."""
    draw = np.random.default_rng(0)
    sources = np.array([answer.source for answer in said])
    places = [np.flatnonzero(sources == source) for source in np.unique(sources)]
    truth, claimed = _codes(said)
    again = []
    for _ in range(DRAWS):
        at = np.concatenate([draw.choice(own, len(own)) for own in places])
        again.append(_macro_f1(truth[at], claimed[at]))
    low, high = np.percentile(again, (2.5, 97.5))
    return Row(name, _macro_f1(truth, claimed), float(low), float(high))


def _codes(said: Sequence[Answer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return numbers for what is true and for what is said."""
    words = np.array([(answer.truth, answer.said) for answer in said])
    codes = np.unique(words, return_inverse=True)[1].reshape(words.shape)
    return codes[:, 0], codes[:, 1]


def _macro_f1(truth: NDArray[np.intp], claimed: NDArray[np.intp]) -> float:
    count = int(max(truth.max(), claimed.max())) + 1
    hits, there, said = (
        np.bincount(found, minlength=count) for found in (truth[truth == claimed], truth, claimed)
    )
    true = there > 0
    return float(np.mean(2 * hits[true] / (there + said)[true]))


def _by_source(said: Sequence[Answer]) -> list[list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for answer in said:
        found.setdefault(answer.source, []).append(answer)
    return [found[source] for source in sorted(found)]


def accuracy(
    name: str, said: Sequence[Answer], baseline: float | None = None, bar: float | None = None
) -> Row:
    """Return a row of mean accuracy over sources, with the interval of texts drawn anew within each (95 %)."""
    low, high = np.percentile(_means(said), (2.5, 97.5))
    value = mean_accuracy(said)
    if value == 1:
        low = 1 - unseen(len(said))
    return Row(name, value, float(low), float(high), baseline, bar)


def behind(name: str, said: Sequence[Answer], others: Sequence[Answer]) -> Row:
    """Return the row of how much better the first are than the others, with the interval of both drawn anew (95 %)."""
    low, high = np.percentile(_means(said) - _means(others, 1), (2.5, 97.5))
    return Row(name, mean_accuracy(said) - mean_accuracy(others), float(low), float(high), bar=MOST_BEHIND)


def _means(said: Sequence[Answer], seed: int = 0) -> NDArray[np.float64]:
    """Return mean accuracies over sources, of texts drawn anew within each."""
    draw = np.random.default_rng(seed)
    hits = [np.array([answer.said == answer.truth for answer in own]) for own in _by_source(said)]
    means: NDArray[np.float64] = np.mean(
        [draw.choice(own, (DRAWS, len(own))).mean(axis=1) for own in hits], axis=0
    )
    return means


def draw_confusion(said: Sequence[Answer], file: Path) -> None:
    """Write a picture of what was said for which truth, one panel for each language."""
    languages = sorted({answer.language for answer in said})
    figure = Figure(figsize=(6 * len(languages), 5), layout="constrained")
    panels = figure.subplots(1, len(languages), squeeze=False)[0]
    truths = sorted({answer.truth for answer in said})
    options = sorted({answer.said for answer in said} | set(truths))
    for panel, language in zip(panels, languages, strict=True):
        counts = np.zeros((len(truths), len(options)))
        for answer in said:
            if answer.language == language:
                counts[truths.index(answer.truth), options.index(answer.said)] += 1
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        panel.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        panel.set_xticks(range(len(options)), options, rotation=45, ha="right")
        panel.set_yticks(range(len(truths)), truths)
        panel.set(xlabel="said", ylabel="recorded", title=language)
        for row, column in np.argwhere(counts > 0):
            dark = shares[row, column] > 0.5
            panel.text(
                column,
                row,
                f"{shares[row, column]:.2f}",
                ha="center",
                va="center",
                color="white" if dark else "black",
            )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, metadata={"Software": None})
