"""How often the language is found, and whether a professional asks.

The language is told by rules, so all labelled texts are asked. Who asks has weak labels only, of whole sources; each
family of them is left out in turn, with every near-duplicate of its texts elsewhere. Undecided is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from routing_bench.label_rows import UNDECIDED, Answer, accuracy, laid_out, macro_f1
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


def asker_rows(folder: Path, short: Pairs) -> list[Row]:
    """Return the rows of the labelled texts of a folder; `short` are questions in English and in Chinese.

    Raises:
        FileNotFoundError: the folder has no labelled texts.
    """
    texts = [text for text in labelled_texts(folder) if text.family != GENERATED]
    ours = [
        Answer("ours", language, language, language_of(text).value, 1.0)
        for pair in short
        for language, text in zip(LANGUAGES, pair, strict=True)
    ]
    found = {
        "language": [answer for answer in map(_language, texts) if answer.truth in LANGUAGES],
        "language of short questions": ours,
        "professional, source left out": list(_askers([*texts, *generated_askers()])),
    }
    return list(_rows(found))


def _language(text: Labelled) -> Answer:
    return Answer(text.source, text.language, text.language, language_of(text.text).value, 1.0)


def _rows(found: Mapping[str, Sequence[Answer]]) -> Iterator[Row]:
    for name, said in found.items():
        yield accuracy(name, said)
        for language in LANGUAGES:
            yield accuracy(f"{name}, {language}", [answer for answer in said if answer.language == language])
        value = macro_f1(said)
        yield Row(f"{name}, macro-F1", value, value, value)


def _askers(texts: Sequence[Labelled]) -> Iterator[Answer]:
    """Give who is said to ask each text of every family that tells, by heads that learned none of the family."""
    known = [text for text in texts if asker(text)]
    rows = laid_out(known)
    near = clusters([text.text for text in known], [str(at) for at in range(len(known))])
    families = np.array([text.family for text in known])
    for family in sorted({*families.tolist()} - {GENERATED}):
        held = families == family
        learned = np.flatnonzero(~held & ~np.isin(near, near[held]))
        head = fit_professional(rows.take(learned), [known[at] for at in learned.tolist()], calibrate=False)
        places = np.flatnonzero(held)
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
