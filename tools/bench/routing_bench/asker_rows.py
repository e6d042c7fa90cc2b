"""How often the language is found, and whether a professional asks.

The language is told by rules, so all labelled texts are asked. Who asks has weak labels only, of whole sources; each
family of them is left out in turn, with every near-duplicate of its texts elsewhere. Undecided is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from routing_bench.label_rows import UNDECIDED, Answer, accuracy, laid_out, macro_f1_row
from routing_bench.row import Row
from routing_bench.translated import Pairs
from tandem.classifier.language import language_of
from tandem.training.classifier.duplicates import clusters
from tandem.training.classifier.labelled import GENERATED, Labelled, labelled_texts
from tandem.training.classifier.labels import LabelHead, Rows
from tandem.training.classifier.professional import (
    LAY,
    PROFESSIONAL,
    asker,
    fit_professional,
    generated_askers,
)

LANGUAGES: Final = ("en", "zh")


def asker_rows(train: Path, test: Path | None, short: Pairs) -> list[Row]:
    """Return the rows of the labelled texts of a folder; `short` are questions in English and in Chinese."""
    learned = _texts(train)
    asked = learned if test is None else _texts(test)
    ours = [
        Answer("ours", language, language, language_of(text).value, 1.0)
        for pair in short
        for language, text in zip(LANGUAGES, pair, strict=True)
    ]
    found = {
        "language": [answer for answer in map(_language, asked) if answer.truth in LANGUAGES],
        "language of short questions": ours,
        "professional, source left out": list(
            _askers([*learned, *generated_askers()], [] if test is None else asked)
        ),
    }
    return list(_rows(found))


def _texts(folder: Path) -> list[Labelled]:
    return [text for text in labelled_texts(folder) if text.family != GENERATED]


def _language(text: Labelled) -> Answer:
    return Answer(text.source, text.language, text.language, language_of(text.text).value, 1.0)


def _rows(found: Mapping[str, Sequence[Answer]]) -> Iterator[Row]:
    for name, said in found.items():
        if not said:
            continue
        yield accuracy(name, said)
        for language in LANGUAGES:
            if own := [answer for answer in said if answer.language == language]:
                yield accuracy(f"{name}, {language}", own)
        yield macro_f1_row(f"{name}, macro-F1", said)


def _askers(learning: Sequence[Labelled], others: Sequence[Labelled]) -> Iterator[Answer]:
    """Give who is said to ask each text of every family that tells, by heads that learned none of the family.

    The others are asked; where there are none, those that are learned from.
    """
    known = [text for text in learning if asker(text)]
    count = len(known)
    known += [text for text in others if asker(text)]
    rows = laid_out(known)
    near = clusters([text.text for text in known], [str(at) for at in range(len(known))])
    families = np.array([text.family for text in known])
    start = count if others else 0
    for family in sorted({*families[start:].tolist()} - {GENERATED}):
        held = families == family
        places = start + np.flatnonzero(held[start:])
        learned = np.flatnonzero((~held & ~np.isin(near, near[places]))[:count])
        head = fit_professional(rows.take(learned), [known[at] for at in learned.tolist()], calibrate=False)
        asked = [known[at] for at in places.tolist()]
        for text, chance in zip(asked, _chances(head, rows.take(places)), strict=True):
            likelier = PROFESSIONAL if chance > 0.5 else LAY
            sure = max(chance, 1 - chance)
            said = likelier if sure >= head.threshold else UNDECIDED
            yield Answer(text.family, text.language, asker(text) or UNDECIDED, said, sure)


def _chances(head: LabelHead, rows: Rows) -> list[float]:
    """Return how likely a professional asks each."""
    odds = head.columns(rows.grams, rows.standard)[:, 0].astype(np.float64) / head.temperature
    chances: list[float] = (1 / (1 + np.exp(-odds))).tolist()
    return chances
