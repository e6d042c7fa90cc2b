"""Catches votes that are learned wrongly: leaks, terms that are served otherwise, gates that let a worse vote in."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tandem.fusion.artifact import Artifact, load_artifact
from tandem.fusion.fuse import FusionCore, Learnt
from tandem.training.fusion.design import design, panel_of, reliabilities
from tandem.training.fusion.fit import fit, probabilities, winners
from tandem.training.fusion.panels import learn_panel
from tandem.training.fusion.recordings import DataMissing, Recording, load_recordings
from tandem.training.fusion.train import assembled, halves, panels_of, voices_of, written
from tandem.v1 import fusion_pb2, types_pb2

LETTERS = "ABCD"


def recording(count: int = 400, seed: int = 0, accuracies: tuple[float, ...] = (0.6, 0.6, 0.6)) -> Recording:
    """Return independent voices of known accuracy; a wrong one says a letter at random."""
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 4, count)
    right = draw.random((count, len(accuracies))) < np.array(accuracies)
    wrong = (gold[:, None] + draw.integers(1, 4, right.shape)) % 4
    said = np.where(right, gold[:, None], wrong)
    return Recording(
        name="made up",
        voices=tuple(f"voice {at}" for at in range(len(accuracies))),
        answers=tuple(tuple(LETTERS[letter] for letter in row) for row in said),
        right=right,
        clusters=np.arange(count) // 2,
        domains=(types_pb2.DOMAIN_LEGAL,) * count,
        categories=("law",) * count,
        texts=("",) * count,
    )


def served(recording_: Recording, artifact: Artifact) -> NDArray[np.float64]:
    """Return which answers of the service are right, and what it expects; shape [questions, 2]."""
    core = FusionCore(weighing=Learnt(artifact))
    told = []
    for row, said in enumerate(recording_.answers):
        candidates = [
            fusion_pb2.Candidate(target=types_pb2.Target(tier=voice), text=text)
            for voice, text in zip(recording_.voices, said, strict=True)
        ]
        fusion = core.decide(
            fusion_pb2.FuseRequest(
                candidates=candidates, domain=recording_.domains[row], category=recording_.categories[row]
            )
        ).fusion
        told.append((recording_.right[row, fusion.winner], fusion.expected_correctness))
    return np.array(told)


def test_peers_that_err_apart_are_better_together() -> None:
    learned = learn_panel("peers", recording())
    assert learned.gate.rule == "vote"
    assert learned.gate.vote > learned.gate.best_single
    found = served(recording(seed=1), Artifact(panels=(learned,)))
    assert found[:, 0].mean() > recording(seed=1).right.mean(axis=0).max() + 0.03
    assert abs(found[:, 0].mean() - found[:, 1].mean()) < 0.05


def test_a_vote_with_noise_is_not_let_in() -> None:
    learned = learn_panel("noise", recording(accuracies=(0.95, 0.25)))
    found = served(recording(seed=1, accuracies=(0.95, 0.25)), Artifact(panels=(learned,)))
    assert found[:, 0].mean() >= recording(seed=1, accuracies=(0.95, 0.25)).right[:, 0].mean()


def test_served_probability_is_the_fitted_one() -> None:
    made = recording()
    learned = learn_panel("peers", made)
    forms = made.forms()
    found = design(made, forms, panel_of(made, forms))
    weights = np.array([learned.weights.get(name, 0.0) for name in found.names])
    told = probabilities(found, weights)
    assert served(made, Artifact(panels=(learned,)))[:, 1] == pytest.approx(
        told[winners(found, told)], abs=5e-4
    )


def test_fit_is_where_the_slope_is_zero() -> None:
    made = recording(100)
    forms = made.forms()
    found = design(made, forms, panel_of(made, forms))
    rows = np.arange(len(found.right))
    weights = fit(found, rows, 1.0)

    def loss(at: NDArray[np.float64]) -> float:
        told = probabilities(found, at)
        none = 1 - np.bincount(found.question, told, minlength=found.questions)
        hit = np.bincount(found.question, told * found.right, minlength=found.questions)
        return -float(np.log(np.where(hit > 0, hit, none)).sum())

    precise = {"any answer": 0.01, "reliability of its voices": 0.1}
    for name, precision in precise.items():
        step = np.zeros(len(weights))
        step[found.names.index(name)] = 1e-4
        slope = (loss(weights + step) - loss(weights - step)) / 2e-4
        assert slope == pytest.approx(-precision * weights[found.names.index(name)], abs=0.05)


def test_halves_keep_near_duplicates_together() -> None:
    first, second = halves(recording(), 3)
    assert not set(first.clusters) & set(second.clusters)
    assert len(first) + len(second) == 400


def test_reliabilities_are_smoothed_to_the_mean_voice() -> None:
    right = np.array([[True, False], [True, False]])
    assert reliabilities(right) == pytest.approx([(2 + 4 * 0.5) / 6, (0 + 4 * 0.5) / 6])


def test_panels_are_the_top_ones_five_peers_and_all() -> None:
    made = recording(accuracies=(0.9, 0.85, 0.6, 0.59, 0.58, 0.57, 0.56, 0.5))
    found = panels_of(made)
    assert list(found) == ["top 2", "top 3", "top 5", "five peers", "all"]
    assert "voice 0" not in found["five peers"]
    assert len(found["five peers"]) == 5


def test_the_artifact_is_named_by_what_it_says() -> None:
    made = recording(120)
    one = assembled([learn_panel("a", made)], voices_of([made]), ["made up"])
    assert one.revision
    assert one == assembled([learn_panel("a", made)], voices_of([made]), ["made up"])
    assert one.voices["voice 0"].contexts.keys() == {"domain legal", "category law"}


def test_a_folder_without_recordings_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(DataMissing, match="TANDEM_DATA"):
        load_recordings(tmp_path_factory.mktemp("empty"))


def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = recording(120)
    artifact = assembled([learn_panel("a", made)], voices_of([made]), ["made up"])
    file = tmp_path_factory.mktemp("out") / "fusion.json"
    file.write_text(written(artifact))
    assert load_artifact(file) == artifact
