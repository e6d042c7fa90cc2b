"""`tandem train fusion`: recorded answers → the reliability artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tandem.fusion.artifact import Artifact, Learned, Voice
from tandem.training.fusion.design import CONTEXT_SMOOTHING, reliabilities
from tandem.training.fusion.panels import learn_panel
from tandem.training.fusion.recordings import Recording, load_recordings

PEERS_BELOW: Final = 0.08
"""Peers are this far below the best voice, or further."""
LEAST_QUESTIONS: Final = 100
"""Of fewer questions no vote is learned."""


def train(folder: Path, out: Path, say: Callable[[str], None]) -> Artifact:
    """Learn from every set of a folder, and write the artifact.

    Raises:
        DataMissing: the folder holds no recorded answers.
        OSError: the file cannot be written.
    """
    recordings = load_recordings(folder)
    panels = []
    for recording in recordings:
        if len(recording) < LEAST_QUESTIONS:
            say(
                f"{recording.name}: left out, it has {len(recording)} questions of at least {LEAST_QUESTIONS}"
            )
            continue
        for name, voices in panels_of(recording).items():
            learned = learn_panel(f"{recording.name}, {name}", recording.of(voices))
            panels.append(learned)
            say(
                f"{learned.name}: {learned.gate.rule} ({learned.gate.vote:.3f} voting, {learned.gate.best_single:.3f} "
                f"the best voice; {len(learned.weights)} weights)"
            )
    artifact = assembled(panels, voices_of(recordings), [recording.name for recording in recordings])
    out.write_text(written(artifact), encoding="utf-8")
    return artifact


def panels_of(recording: Recording) -> Mapping[str, Sequence[str]]:
    """Return the voices of each panel that is learned: the top 2, 3, 5, five peers far below the best, all."""
    reliable = reliabilities(recording.right)
    order = sorted(range(len(recording.voices)), key=lambda at: (-reliable[at], recording.voices[at]))
    shares = recording.right.mean(axis=0)
    ranked = [recording.voices[at] for at in order]
    below = [recording.voices[at] for at in order if shares[at] <= shares[order[0]] - PEERS_BELOW]
    found = {f"top {count}": ranked[:count] for count in (2, 3, 5) if len(ranked) > count}
    if len(below) >= 5:
        found["five peers"] = below[:5]
    return {**found, "all": ranked}


def voices_of(recordings: Sequence[Recording]) -> dict[str, Voice]:
    """Return how reliable each voice is over all sets, and in each context, smoothed towards that."""
    marks: dict[str, list[tuple[bool, tuple[str, ...]]]] = {}
    for recording in recordings:
        contexts = [recording.contexts(row) for row in range(len(recording))]
        for at, voice in enumerate(recording.voices):
            marks.setdefault(voice, []).extend(zip(map(bool, recording.right[:, at]), contexts, strict=True))
    return {voice: _voice(found) for voice, found in sorted(marks.items())}


def _voice(marks: Sequence[tuple[bool, tuple[str, ...]]]) -> Voice:
    overall = (sum(right for right, _ in marks) + 1.0) / (len(marks) + 2.0)
    by_context: dict[str, list[bool]] = {}
    for right, contexts in marks:
        for context in contexts:
            by_context.setdefault(context, []).append(right)
    return Voice(
        questions=len(marks),
        reliability=round(overall, 4),
        contexts={
            context: round((sum(found) + CONTEXT_SMOOTHING * overall) / (len(found) + CONTEXT_SMOOTHING), 4)
            for context, found in sorted(by_context.items())
        },
    )


def assembled(panels: Sequence[Learned], voices: Mapping[str, Voice], made_from: Sequence[str]) -> Artifact:
    """Return the artifact; its revision is a digest of what it says."""
    artifact = Artifact(made_from=tuple(made_from), voices=dict(voices), panels=tuple(panels))
    digest = hashlib.sha256(artifact.model_dump_json().encode()).hexdigest()[:12]
    return artifact.model_copy(update={"revision": digest})


def written(artifact: Artifact) -> str:
    """Return the JSON of an artifact, for people: a line for each voice and weight."""
    return json.dumps(artifact.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def halves(recording: Recording, seed: int) -> tuple[Recording, Recording]:
    """Return two halves, near-duplicates together."""
    labels = np.unique(recording.clusters)
    drawn = np.random.default_rng(seed).permutation(labels)[: len(labels) // 2]
    first = np.isin(recording.clusters, drawn)
    return recording.take(np.flatnonzero(first)), recording.take(np.flatnonzero(~first))


def repeated(recording: Recording, count: int) -> Iterator[tuple[Recording, Recording]]:
    """Give several pairs of halves."""
    for seed in range(count):
        yield halves(recording, seed)
