"""The heads of labels as columns of the artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tandem.classifier.encoder import Encoder
from tandem.training.classifier import design
from tandem.training.classifier.assemble import Columns
from tandem.training.classifier.labelled import labelled_texts
from tandem.training.classifier.labels import LabelHead, Rows, fit_labels
from tandem.training.classifier.professional import fit_professional, generated_askers

PROFESSIONAL: Final = "professional"


@dataclass(frozen=True, slots=True)
class ShippedLabels:
    """Columns of weights, and how the header says that they are read."""

    columns: tuple[Columns, ...]
    document: dict[str, Any]


def shipped_labels(folder: Path, laid: design.Design, encoder: Encoder | None = None) -> ShippedLabels:
    """Fit the heads for task, domain and asker on the texts of a folder and on those made from templates.

    Raises:
        FileNotFoundError: the folder has no labelled texts.
    """
    texts = labelled_texts(folder)
    heads = fit_labels(_rows([text.text for text in texts], laid, encoder), texts)
    askers = [*texts, *generated_askers()]
    asked = fit_professional(_rows([text.text for text in askers], laid, encoder), askers)
    columns = [
        _columns(head, tuple(f"{name}.{label}" for label in head.labels)) for name, head in heads.items()
    ]
    document: dict[str, Any] = {
        name: {"labels": head.labels, "temperature": head.temperature, "threshold": head.threshold}
        for name, head in heads.items()
    }
    document[PROFESSIONAL] = {"temperature": asked.temperature, "threshold": asked.threshold}
    return ShippedLabels((*columns, _columns(asked, (PROFESSIONAL,))), document)


def _rows(texts: list[str], laid: design.Design, encoder: Encoder | None) -> Rows:
    return Rows.of(design.batch(texts, encoder), design.SPEC.buckets, laid.mean, laid.scale, design.LIMIT)


def _columns(head: LabelHead, names: tuple[str, ...]) -> Columns:
    waves = np.zeros((design.WAVES, len(names)), np.float32)
    return Columns(names, head.buckets, head.dense, waves, head.bias)
