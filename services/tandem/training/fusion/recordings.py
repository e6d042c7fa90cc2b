"""Reads recorded answers: what each model said to each question, and whether it was right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tandem.fusion.ballot import KINDS, contexts
from tandem.fusion.normalise import NOTHING, Normal, Wanted, normalise
from tandem.training.classifier.duplicates import Labels, clusters
from tandem.v1 import types_pb2

Rows = NDArray[np.intp]
LEAST_ANSWERED: Final = 0.74
"""A model of which fewer answers can be read is left out: it was not asked, or cannot answer so."""
LEAST_ASKED: Final = 20
"""A model that answered none of at least so many questions of a category was not asked them, and is left out."""
LEFT_OUT: Final = frozenset({"DeepSeek-Coder-V2"})
"""Models that were asked a part of the questions only, by the recording's own account."""
_MATHEMATICS: Final = types_pb2.TASK_MATHEMATICS
_TASKS: Final = {"gsm": _MATHEMATICS, "math_l5": _MATHEMATICS, "crux": types_pb2.TASK_CODE}
_DOMAINS: Final = frozenset(types_pb2.Domain.keys())
_FORMS: Final = {"crux": types_pb2.ANSWER_FORM_EXACT}
"""The output of a program: that recording holds `[7,1,2]` for wrong where `[7, 1, 2]` is right."""


class DataMissing(Exception):
    """The folder holds no recorded answers; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The answers of several models to the questions of one set."""

    name: str
    voices: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    """By question, then by voice; empty where a model said nothing that could be read."""
    right: NDArray[np.bool_]
    """Shape [questions, voices]."""
    clusters: Labels
    """Shape [questions]: the same number for questions that are the same, or nearly."""
    domains: tuple[types_pb2.Domain.ValueType, ...]
    categories: tuple[str, ...]
    task: types_pb2.Task.ValueType = types_pb2.TASK_UNSPECIFIED
    form: types_pb2.AnswerForm.ValueType = types_pb2.ANSWER_FORM_UNSPECIFIED
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows: Rows) -> Recording:
        """Return these questions only."""
        return replace(
            self,
            answers=tuple(self.answers[row] for row in rows),
            right=self.right[rows],
            clusters=self.clusters[rows],
            domains=tuple(self.domains[row] for row in rows),
            categories=tuple(self.categories[row] for row in rows),
            texts=tuple(self.texts[row] for row in rows),
        )

    def of(self, voices: Sequence[str]) -> Recording:
        """Return the answers of these voices only, in their order.

        Raises:
            KeyError: one of them is not there.
        """
        places = {voice: at for at, voice in enumerate(self.voices)}
        chosen = [places[voice] for voice in voices]
        return replace(
            self,
            voices=tuple(voices),
            answers=tuple(tuple(row[at] for at in chosen) for row in self.answers),
            right=self.right[:, chosen],
        )

    def contexts(self, row: int) -> tuple[str, ...]:
        """Return what is known of a question, as a request's contexts are named."""
        return contexts(self.domains[row], self.task, self.categories[row])

    def wanted(self) -> Wanted:
        """Return what the questions want, as a request says it."""
        mathematics = self.task == _MATHEMATICS
        return Wanted(KINDS[self.form], numeric=mathematics, exact=mathematics)

    def forms(self) -> list[list[Normal]]:
        """Return the comparable form of every answer, as the service reads it."""
        wanted = self.wanted()
        seen = {"": NOTHING}
        for row in self.answers:
            for answer in row:
                if answer not in seen:
                    seen[answer] = normalise(answer, wanted)
        return [[seen[answer] for answer in row] for row in self.answers]


def load_recordings(folder: Path) -> list[Recording]:
    """Read every set with answers that the folder holds.

    Raises:
        DataMissing: there is none.
    """
    found: list[Recording] = []
    for name, file in _CHOICES.items():
        if (folder / file).is_file():
            found.append(_choices(name, _read(folder / file)))
    if (folder / "zeroeval_questions.parquet").is_file() and (folder / "zeroeval_preds.parquet").is_file():
        found += _open(_read(folder / "zeroeval_questions.parquet"), _read(folder / "zeroeval_preds.parquet"))
    if not found:
        raise DataMissing(
            f"{folder} holds none of {', '.join((*_CHOICES.values(), 'zeroeval_preds.parquet'))}. Name the folder with "
            "the recorded answers, or set TANDEM_DATA."
        )
    return found


_CHOICES: Final[Mapping[str, str]] = {
    "mmlupro": "mmlupro_29models.parquet",
    "lexeval": "lexeval_zh_38models.parquet",
    "lawbench": "lawbench_zh_51models.parquet",
}


def _read(file: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(file).to_pydict()
    return columns


def _choices(name: str, columns: Mapping[str, list[Any]]) -> Recording:
    """Multiple choice: a model is right if it named the letters of the key."""
    gold = columns["gold"]
    said = {
        column.removeprefix("pred:"): [str(answer or "") for answer in found]
        for column, found in columns.items()
        if column.startswith("pred:")
    }
    categories = tuple(map(str, columns.get("category") or columns["task"]))
    voices = [voice for voice, found in said.items() if voice not in LEFT_OUT and _asked(found, categories)]
    texts = [str(text) for text in columns["question"]]
    if "options" in columns:
        texts = [
            "\n".join((text, *json.loads(options)))
            for text, options in zip(texts, columns["options"], strict=True)
        ]
    count = len(gold)
    return _sorted(
        Recording(
            name=name,
            voices=tuple(voices),
            answers=tuple(zip(*(said[voice] for voice in voices), strict=True)),
            right=np.array([[said[voice][at] == gold[at] for voice in voices] for at in range(count)], bool),
            clusters=clusters(texts, [str(key) for key in columns["qkey"]]),
            domains=tuple(_domain(domain) for domain in columns.get("domain", ["legal"] * count)),
            categories=categories,
            texts=tuple(texts),
        )
    )


def _asked(said: Sequence[str], categories: Sequence[str]) -> bool:
    """Tell whether a model was asked all questions, as far as its answers tell."""
    answered = Counter(category for category, answer in zip(categories, said, strict=True) if answer)
    nowhere = (count >= LEAST_ASKED and not answered[name] for name, count in Counter(categories).items())
    return sum(answered.values()) >= LEAST_ANSWERED * len(said) and not any(nowhere)


def _open(questions: Mapping[str, list[Any]], said: Mapping[str, list[Any]]) -> list[Recording]:
    """Open answers: the recording says which are right."""
    found = []
    for name in sorted(set(questions["dataset"])):
        rows = [at for at, dataset in enumerate(questions["dataset"]) if dataset == name]
        places = {questions["id"][row]: at for at, row in enumerate(rows)}
        mine = [
            at for at, dataset in enumerate(said["dataset"]) if dataset == name and said["id"][at] in places
        ]
        counts = Counter(said["model"][at] for at in mine)
        voices = sorted(voice for voice, count in counts.items() if count >= 0.95 * len(rows))
        columns = {voice: at for at, voice in enumerate(voices)}
        answers = [[""] * len(voices) for _ in rows]
        right = np.zeros((len(rows), len(voices)), bool)
        for at in mine:
            if (column := columns.get(said["model"][at])) is not None:
                place = places[said["id"][at]]
                answers[place][column] = _written(said["pred"][at], name)
                right[place, column] = bool(said["correct"][at])
        texts = [str(questions["question"][row]) for row in rows]
        recording = Recording(
            name=name,
            voices=tuple(voices),
            answers=tuple(map(tuple, answers)),
            right=right,
            clusters=clusters(texts, [str(questions["qkey"][row]) for row in rows]),
            domains=(types_pb2.DOMAIN_UNSPECIFIED,) * len(rows),
            categories=("",) * len(rows),
            task=_TASKS.get(name, types_pb2.TASK_UNSPECIFIED),
            form=_FORMS.get(name, types_pb2.ANSWER_FORM_UNSPECIFIED),
            texts=tuple(texts),
        )
        found.append(_sorted(recording))
    return found


def _written(said: object, name: str) -> str:
    """Return an answer as a model writes it; a program may well put out nothing, and that is an answer."""
    return '""' if said == "" and name in _FORMS else str(said or "")


def _sorted(recording: Recording) -> Recording:
    """Return the recording with its voices from the most to the least often right; equal ones by name."""
    shares = recording.right.mean(axis=0)
    order = sorted(range(len(recording.voices)), key=lambda at: (-shares[at], recording.voices[at]))
    return recording.of([recording.voices[at] for at in order])


def _domain(name: str) -> types_pb2.Domain.ValueType:
    value = f"DOMAIN_{name.upper()}"
    return types_pb2.Domain.Value(value) if value in _DOMAINS else types_pb2.DOMAIN_UNSPECIFIED
