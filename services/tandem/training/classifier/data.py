"""Reads recorded answers: which model was right on which question."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Qualities = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Table:
    """Questions of one source, and how well models answered them."""

    name: str
    texts: tuple[str, ...]
    keys: tuple[str, ...]
    """Identifies the question over all tables."""
    groups: tuple[str, ...]
    """Subject, task or category."""
    domains: tuple[str, ...]
    language: str
    outcomes: Mapping[str, Qualities]
    """By model, 0 to 1 (judge scores: 1 to 10); NaN where a model was not asked."""
    second: tuple[str, ...] = ()
    """What the user says next, where conversations have a second turn."""

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Rows) -> Table:
        """Return the table with these rows only."""
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            keys=tuple(self.keys[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            domains=tuple(self.domains[row] for row in rows),
            outcomes={model: found[rows] for model, found in self.outcomes.items()},
            second=tuple(self.second[row] for row in rows) if self.second else (),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A weak and a strong model of one table."""

    table: str
    weak: str
    strong: str


PAIRS: Final = {
    "mmlu": Pair("mmlu", "weak", "strong"),
    "gsm8k": Pair("gsm8k", "weak", "strong"),
    "mtbench": Pair("mtbench", "weak", "strong"),
    "mmlupro": Pair("mmlupro", "Mixtral-8x7B-Instruct-v0.1", "gemini-1.5-pro-002"),
    "zeroeval": Pair("zeroeval", "gpt-4o-mini-2024-07-18", "o1-mini-2024-09-12"),
    "llmrouter": Pair("llmrouter", "qwen2.5-7b-instruct", "llama-3.1-nemotron-51b-instruct"),
    "lexeval": Pair("lexeval", "Chatglm3_6B", "gpt4"),
    "routerarena": Pair("routerarena", "claude-3-haiku-20240307", "gemini-2.0-flash-001"),
}
"""The pairs that are measured, by table."""
MISPARSED: Final = "high_school_mathematics"
"""Subject of MMLU where the recording lost nearly all answers of the strong model."""
LEAST_MODELS: Final = 8
"""Models whose answers together tell how hard a question is."""


class DataMissing(Exception):
    """The folder lacks what is to be read; the message says what."""


def load_tables(folder: Path, say: Say) -> dict[str, Table]:
    """Read every table that the folder holds, by name; one that lacks what it needs is told and left out.

    Raises:
        DataMissing: there is none, or a file is no table.
    """
    tables: dict[str, Table] = {}
    for name, (file, read) in _READERS.items():
        if not (folder / file).is_file():
            continue
        try:
            table = read(name, folder)
        except KeyError as column:
            say(f"{folder / file}: left out, it has no column {column}")
        except FileNotFoundError as missing:
            say(f"{folder / file}: left out, {missing}")
        else:
            if len(table):
                tables[name] = table
            else:
                say(f"{folder / file}: left out, it has no rows")
    if not tables:
        raise DataMissing(
            f"{folder} holds none of {', '.join(file for file, _ in _READERS.values())}. Name the folder with the "
            "recorded answers, or set TANDEM_DATA."
        )
    return tables


def pair_rows(table: Table, pair: Pair) -> tuple[Rows, Qualities, Qualities]:
    """Return the rows where both models answered, and the qualities of the weak and of the strong one there.

    Raises:
        KeyError: the table lacks one of them.
    """
    weak, strong = table.outcomes[pair.weak], table.outcomes[pair.strong]
    rows = np.flatnonzero(~np.isnan(weak) & ~np.isnan(strong))
    return rows, weak[rows], strong[rows]


def difficulty(table: Table) -> Qualities:
    """Return 10 times the share of models that failed each question."""
    answers = np.stack([table.outcomes[model] for model in sorted(table.outcomes)])
    missed: Qualities = 10 * (1 - np.nanmean(answers, axis=0))
    return missed


def _read(folder: Path, file: str) -> dict[str, list[Any]]:
    if not (folder / file).is_file():
        raise FileNotFoundError(f"there is no {file} beside it")
    try:
        found: dict[str, list[Any]] = pq.read_table(folder / file).to_pydict()
    except pa.ArrowInvalid as error:
        raise DataMissing(f"{folder / file} cannot be read: {error}. Replace it, or take it away.") from None
    return found


def _table(name: str, columns: Mapping[str, Sequence[Any]], text: str, group: str, **more: Any) -> Table:
    texts = [str(value) for value in columns[text]]
    return Table(
        name,
        tuple(texts),
        _words(columns, "qkey", texts),
        _words(columns, group, [name] * len(texts)),
        _words(columns, "domain", ["general"] * len(texts)),
        more.get("language", "en"),
        more["outcomes"],
    )


def _words(columns: Mapping[str, Sequence[Any]], name: str, otherwise: Sequence[str]) -> tuple[str, ...]:
    """Return a column as text; where it has nothing, or is not there, what stands otherwise."""
    if name not in columns:
        return tuple(otherwise)
    return tuple(
        other if value is None else str(value) for value, other in zip(columns[name], otherwise, strict=True)
    )


def _numbers(values: Sequence[Any]) -> Qualities:
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _two(name: str, folder: Path) -> Table:
    columns = _read(folder, _READERS[name][0])
    outcomes = {side: _numbers(columns[side]) for side in ("weak", "strong")}
    return _table(name, columns, "prompt", "subject", outcomes=outcomes)


def _judged(name: str, folder: Path) -> Table:
    """MT-Bench: conversations of two turns, with one score for both."""
    columns = _read(folder, _READERS[name][0])
    outcomes = {side: _numbers(columns[side]) for side in ("weak", "strong")}
    table = _table(name, columns, "turn1", "category", outcomes=outcomes)
    return replace(table, second=_words(columns, "turn2", [""] * len(table)) if "turn2" in columns else ())


def _chosen(columns: Mapping[str, Sequence[Any]]) -> dict[str, Qualities]:
    """Whether each model named the gold letter; an answer that could not be read is wrong."""
    return {
        name.removeprefix("pred:"): np.array(
            [answer == gold for answer, gold in zip(found, columns["gold"], strict=True)], np.float32
        )
        for name, found in columns.items()
        if name.startswith("pred:")
    }


def _mmlupro(name: str, folder: Path) -> Table:
    columns = _read(folder, _READERS[name][0])
    columns["prompt"] = [
        "\n".join([question, *(f"{chr(65 + at)}. {option}" for at, option in enumerate(json.loads(options)))])
        for question, options in zip(columns["question"], columns["options"], strict=True)
    ]
    outcomes = _chosen(columns)
    outcomes.pop("DeepSeek-Coder-V2", None)  # it covers a part only
    return _table(name, columns, "prompt", "category", outcomes=outcomes)


def _chinese(name: str, folder: Path) -> Table:
    columns = _read(folder, _READERS[name][0])
    columns.setdefault("domain", ["legal"] * len(columns["question"]))
    return _table(name, columns, "question", "task", outcomes=_chosen(columns), language="zh")


def _zeroeval(name: str, folder: Path) -> Table:
    columns = _read(folder, _READERS[name][0])
    places = {key: at for at, key in enumerate(zip(columns["dataset"], columns["id"], strict=True))}
    answers = _read(folder, "zeroeval_preds.parquet")
    outcomes: dict[str, Qualities] = {}
    for dataset, identity, model, correct in zip(
        *(answers[column] for column in ("dataset", "id", "model", "correct")), strict=True
    ):
        if (at := places.get((dataset, identity))) is not None:
            outcomes.setdefault(model, np.full(len(places), np.nan, np.float32))[at] = correct
    return _table(name, columns, "question", "dataset", outcomes=outcomes)


def _scored(name: str, folder: Path, text: str, group: str) -> Table:
    columns = _read(folder, _READERS[name][0])
    outcomes = {
        column.removeprefix("score:"): _numbers(found)
        for column, found in columns.items()
        if column.startswith("score:")
    }
    return _table(name, columns, text, group, outcomes=outcomes)


_READERS: Final[Mapping[str, tuple[str, Callable[[str, Path], Table]]]] = {
    "mmlu": ("routellm_mmlu.parquet", _two),
    "gsm8k": ("routellm_gsm8k.parquet", _two),
    "mtbench": ("routellm_mtbench.parquet", _judged),
    "mmlupro": ("mmlupro_29models.parquet", _mmlupro),
    "zeroeval": ("zeroeval_questions.parquet", _zeroeval),
    "lexeval": ("lexeval_zh_38models.parquet", _chinese),
    "lawbench": ("lawbench_zh_51models.parquet", _chinese),
    "llmrouter": (
        "llmrouter_9models.parquet",
        partial(_scored, text="query", group="task_name"),
    ),
    "routerarena": ("routerarena_2models.parquet", partial(_scored, text="question", group="dataset")),
}
FILES: Final[Mapping[str, str]] = {name: file for name, (file, _) in _READERS.items()}
"""File of each table."""
