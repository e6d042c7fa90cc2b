"""Asks the fusion core itself, request by request, what it makes of recorded answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fusion_bench.row import Numbers
from tandem.fusion.artifact import Artifact, Learned
from tandem.fusion.fuse import FusionCore, Learnt
from tandem.training.fusion.panels import learn_panel
from tandem.training.fusion.recordings import Recording
from tandem.training.fusion.train import panels_of, repeated, voices_of
from tandem.v1 import fusion_pb2, types_pb2


@dataclass(frozen=True, slots=True)
class Split:
    """Questions to learn from, and others to measure on, of the same voices."""

    learn: Recording
    measure: Recording


@dataclass(frozen=True, slots=True)
class Told:
    """What a vote made of the questions of a split; each of shape [questions]."""

    right: Numbers
    expected: Numbers
    """Expected correctness."""
    best_single: Numbers
    majority: Numbers
    oracle: Numbers


def splits(train: Recording, test: Recording | None, count: int) -> list[Split]:
    """Return halves of one recording, near-duplicates together; or, with a second one, both as they are."""
    if test is None:
        return [Split(*pair) for pair in repeated(train, count)]
    voices = [voice for voice in train.voices if voice in test.voices]
    return [Split(train.of(voices), test.of(voices))]


def panel_names(recording: Recording) -> list[str]:
    """Return the panels of a set."""
    return list(panels_of(recording))


def told(split: Split, panel: str) -> Told:
    """Learn a panel of the split and measure it."""
    voices = panels_of(split.learn)[panel]
    learned = learn_panel(panel, split.learn.of(voices))
    return measured(split, learned)


def measured(split: Split, learned: Learned) -> Told:
    """Measure what was learned on the questions that it was not learned from."""
    recording = split.measure.of(learned.voices)
    right, expected = served(core(split.learn, learned), recording)
    majority = [recording.right[row, at] for row, at in enumerate(_majorities(recording))]
    return Told(
        right,
        expected,
        recording.right[:, 0].astype(float),
        np.array(majority, float),
        recording.right.any(axis=1).astype(float),
    )


def core(learn: Recording, *learned: Learned) -> FusionCore:
    """Return a core that learned panels, and how reliable each voice is, from the same questions."""
    return FusionCore(weighing=Learnt(Artifact(voices=voices_of([learn]), panels=learned)))


def served(fusion: FusionCore, recording: Recording) -> tuple[Numbers, Numbers]:
    """Return whether the chosen candidates are right, by the record, and what the core expected."""
    decided = [fusion.decide(request).fusion for request in requests(recording)]
    right = [recording.right[row, found.winner] for row, found in enumerate(decided)]
    return np.array(right, float), np.array([found.expected_correctness for found in decided])


def requests(recording: Recording) -> Iterator[fusion_pb2.FuseRequest]:
    """Give the request of every question."""
    for row, said in enumerate(recording.answers):
        yield fusion_pb2.FuseRequest(
            candidates=[
                fusion_pb2.Candidate(target=types_pb2.Target(tier=voice), text=text)
                for voice, text in zip(recording.voices, said, strict=True)
            ],
            domain=recording.domains[row],
            task=recording.task,
            category=recording.categories[row],
            form=recording.form,
        )


def _majorities(recording: Recording) -> Sequence[int]:
    """Return for each question the first voice with the commonest answer."""
    chosen = []
    for forms in recording.forms():
        counts = Counter(form for form in forms if form.value)
        most = max(counts.values(), default=0)
        chosen.append(next((at for at, form in enumerate(forms) if counts[form] == most), 0))
    return chosen
