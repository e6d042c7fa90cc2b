"""Reads texts whose task, domain or asker is known, each with the source it comes from.

The labels of the folder are of whole data sets: a head that learns them learns to recognise the set. So every text
keeps its family, the sets that share questions or their making, and what is measured on a family learned nothing of it.

The folder has no label `mathematics` and no label `science`: calculation is labelled reasoning there, science general.
Here a text of a mathematical or scientific set is learned as such; `as_recorded` gives the recorded label back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from tandem.classifier.language import language_of
from tandem.training.classifier.generated import GENERATED_SEED, Prompt, generated, read_templates

TASKS: Final = (
    "creative",
    "factual",
    "reasoning",
    "mathematics",
    "code",
    "extraction",
    "translation",
    "chat",
)
DOMAINS: Final = ("general", "medical", "legal", "finance", "science")
GENERATED: Final = "generated"
"""Family of the texts made from templates."""
MEASURED_ONLY: Final = ("arena_hard_v01",)
"""Sources labelled by hand that are only measured, never learned."""
COPIES: Final = 3
MOST_OF_SOURCE: Final = 150
"""Most texts of one source: more would only teach what the source looks like."""

LABELS_FILE: Final = "labels_task_domain_lang.parquet"

_RECORDED: Final = {"mathematics": "reasoning", "science": "general"}
_FAMILIES: Final = {"gsm8k_train": "gsm8k", "math_test": "math"}
_MATHEMATICS: Final = re.compile(
    r"^(Algebra|Intermediate Algebra|Prealgebra|Precalculus|Number Theory|Counting & Probability|Geometry|aqua-rat"
    r"|sat-math|gaokao-mathqa|gaokao-mathcloze|math)$|_Math_"
)
_SCIENCE: Final = re.compile("Biology|Chemistry|Physics|gaokao-(?:physics|chemistry|biology)")
_MMLU_SCIENCE: Final = re.compile(
    "physics|chemistry|biology|astronomy|engineering|computer|machine|genetics|virology"
)
_CATEGORIES: Final = {
    "law": "legal",
    "health": "medical",
    "business": "finance",
    "economics": "finance",
    **dict.fromkeys(("physics", "chemistry", "biology", "engineering", "computer science"), "science"),
    **dict.fromkeys(("math", "philosophy", "history", "psychology"), "general"),
}
_ROUTER_TASKS: Final = {
    "natural_qa": ("factual", None, "natural_qa"),
    "trivia_qa": ("factual", "general", "trivia_qa"),
    "openbook_qa": ("factual", "science", "openbook_qa"),
    "arc_challenge": ("factual", "science", "arc"),
    "gsm8k": ("mathematics", "general", "gsm8k"),
    "agentverse-mgsm": ("mathematics", "general", "gsm8k"),
    "math": ("mathematics", "general", "math"),
    "mbpp": ("code", "general", "mbpp"),
    "human_eval": ("code", "general", "humaneval"),
    "agentverse-logicgrid": ("reasoning", "general", "logicgrid"),
}
_ARENA: Final = (
    ("WMT", "translation", None, "wmt"),
    ("LiveCodeBench", "code", "general", "livecodebench"),
    ("PubMedQA", None, "medical", "pubmedqa"),
    ("MedMCQA", None, "medical", "medmcqa"),
    ("FinQA", "mathematics", "finance", "finqa"),
    ("QANTA_Science", "factual", "science", "qanta"),
    ("QANTA", "factual", "general", "qanta"),
    ("OpenTDB", "factual", "general", "opentdb"),
    ("MathQA", "mathematics", "general", "mathqa"),
    ("GSM8K", "mathematics", "general", "gsm8k"),
    ("MATH", "mathematics", "general", "math"),
)
_ZERO_EVAL: Final = {
    "crux": ("code", "crux"),
    "gsm": ("mathematics", "gsm8k"),
    "math_l5": ("mathematics", "math"),
    "numersense-v2": ("mathematics", "numersense"),
}
_LEXEVAL: Final = {"1": "factual", "2": "extraction", "3": "reasoning"}
_BOILERPLATE: Final = re.compile(
    r"^.*?(?=Context:)|Context: None\s*|Provide (?:the correct|your final).*$", re.DOTALL
)


_Known = tuple[str | None, str | None]
"""Task and domain, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with what is known about it; None where it is not known."""

    text: str
    language: str
    task: str | None
    domain: str | None
    source: str
    family: str
    unit: str
    """What an n-gram is counted by: the family, or the template."""
    group: str = ""


def as_recorded(label: str) -> str:
    """Return the label that the folder would give: mathematics is reasoning there, science is general."""
    return _RECORDED.get(label, label)


def labelled_texts(folder: Path) -> list[Labelled]:
    """Return all texts of the folder that have a label, and those made from templates; in a fixed order."""
    found = [*_recorded(folder), *_by_hand(folder), *_elsewhere(folder)]
    return [*_thinned(found), *map(_made, generated(COPIES, GENERATED_SEED))]


def _made(prompt: Prompt) -> Labelled:
    source = f"{GENERATED}:{prompt.language}"
    return Labelled(
        prompt.text, prompt.language, prompt.task, prompt.domain, source, GENERATED, prompt.template, ""
    )


def _thinned(texts: Sequence[Labelled]) -> list[Labelled]:
    """Return at most so many texts of each source, its labels and groups in turn; in the order given."""
    cells: Counter[tuple[str | None, ...]] = Counter()
    ranks: list[int] = []
    for text in texts:
        cell = (text.source, text.task, text.domain, text.group)
        ranks.append(cells[cell])
        cells[cell] += 1
    kept: Counter[str] = Counter()
    chosen: list[int] = []
    for at in sorted(range(len(texts)), key=lambda at: (ranks[at], at)):
        kept[texts[at].source] += 1
        if kept[texts[at].source] <= MOST_OF_SOURCE:
            chosen.append(at)
    return [texts[at] for at in sorted(chosen)]


def _read(folder: Path, file: str, *needed: str) -> Iterator[dict[str, Any]]:
    """Give the rows of a file that have the columns that are needed; none, where it is not there or lacks one."""
    if not (folder / file).is_file():
        return
    for row in pq.read_table(folder / file).to_pylist():
        if all(row.get(column) is not None for column in needed):
            yield row


def recorded_sources(folder: Path) -> frozenset[str]:
    """Return the sources of the file of labelled texts that have labels there."""
    return frozenset(text.source for text in _recorded(folder))


def _recorded(folder: Path) -> Iterator[Labelled]:
    for row in _read(folder, LABELS_FILE, "text", "source"):
        task, domain = row.get("task"), row.get("domain")
        if task is None and domain is None:
            continue
        source = row["source"].split(":")[0]
        group = row.get("group") or ""
        calculates = task == "reasoning" and (
            source in {"gsm8k_train", "math_test"} or _MATHEMATICS.search(group)
        )
        scientific = domain == "general" and _SCIENCE.search(group)
        family = _FAMILIES.get(source, source)
        yield Labelled(
            row["text"],
            row.get("lang") or language_of(row["text"]).value,
            "mathematics" if calculates else task,
            "science" if scientific else domain,
            source,
            family,
            family,
            group,
        )


def hand_labels() -> Mapping[str, Mapping[str, str]]:
    """Return the tasks given by hand to texts that the folder leaves without, by source and key."""
    return {
        source: {key: task for task, keys in by_task.items() for key in keys.split()}
        for source, by_task in read_templates("hand_labels.yaml").items()
    }


def _by_hand(folder: Path) -> Iterator[Labelled]:
    tasks = hand_labels()
    for row in _read(folder, LABELS_FILE, "text", "source", "qkey"):
        source = row["source"]
        task = tasks.get(source, {}).get(row["qkey"])
        if row.get("task") is None and task:
            yield Labelled(row["text"], row.get("lang") or "en", task, None, source, source, source)


def _elsewhere(folder: Path) -> Iterator[Labelled]:
    for row in _read(folder, "mmlupro_29models.parquet", "question", "category"):
        yield _english(
            row["question"], (None, _CATEGORIES.get(row["category"])), "mmlupro", "mmlu", row["category"]
        )
    for row in _read(folder, "routellm_mmlu.parquet", "prompt", "subject", "domain", "task"):
        subject = row["subject"]
        domain = "science" if row["domain"] == "general" and _MMLU_SCIENCE.search(subject) else row["domain"]
        task = "mathematics" if "math" in subject else row["task"]
        yield _english(row["prompt"], (task, domain), "mmlu", "mmlu", subject)
    for row in _read(folder, "llmrouter_9models.parquet", "query", "task_name"):
        if known := _ROUTER_TASKS.get(row["task_name"]):
            yield _english(row["query"], known[:2], f"llmrouter:{row['task_name']}", known[2])
    for row in _read(folder, "routerarena_2models.parquet", "question", "dataset"):
        yield from _arena(row["dataset"], row["question"])
    for row in _read(folder, "zeroeval_questions.parquet", "question", "dataset"):
        if row["dataset"] in _ZERO_EVAL:
            task, family = _ZERO_EVAL[row["dataset"]]
            yield _english(row["question"], (task, "general"), f"zeroeval:{row['dataset']}", family)
    for row in _read(folder, "lexeval_zh_38models.parquet", "question", "task"):
        task = _LEXEVAL.get(row["task"][:1])
        yield Labelled(row["question"], "zh", task, "legal", "lexeval", "lexeval", "lexeval", row["task"])


def _english(text: str, known: _Known, source: str, family: str, group: str = "") -> Labelled:
    task, domain = known
    return Labelled(text, "en", task, domain, source, family, family, group)


def _arena(dataset: str, question: str) -> Iterator[Labelled]:
    bare = (
        question.split("Provide your", maxsplit=1)[0]
        if dataset.startswith("WMT")
        else _BOILERPLATE.sub("", question)
    )
    if dataset.startswith("MMLUPro_"):
        yield _english(
            bare, (None, _CATEGORIES.get(dataset.removeprefix("MMLUPro_"))), "routerarena:mmlu", "mmlu"
        )
    for start, task, domain, family in _ARENA:
        if dataset.startswith(start):
            yield _english(bare, (task, domain), f"routerarena:{family}", family)
            return
