"""Would catch heads that learn nothing, a score that points the wrong way, or denoising that leaks a label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tandem.training.classifier import design
from tandem.training.classifier.data import Pair, Table, difficulty, pair_rows
from tandem.training.classifier.routing import DENOISED, fit, labels, score

PAIR = Pair("small", "weak", "strong")


def test_questions_that_the_weak_model_fails_score_higher(small: Table) -> None:
    rows, weak, strong = pair_rows(small, PAIR)
    features = design.batch(small.texts)
    laid = design.Design.of(features.dense).rows(features)
    learned, asked = rows[:160], rows[160:]
    heads = fit(laid[learned], labels(small, PAIR, learned))
    scored = score(heads.predict(laid[asked]), 1.0)
    hard = np.array([small.groups[row] == "hard" for row in asked])
    assert scored[hard].min() > scored[~hard].max()
    assert (strong - weak)[160:][hard].mean() > (strong - weak)[160:][~hard].mean()


def test_trust_weighs_the_strong_model_alone() -> None:
    said = np.array([[0.4, 0.8], [0.9, 1.0]], np.float32)
    np.testing.assert_allclose(score(said, 1.0), [0.4, 0.1], atol=1e-6)
    np.testing.assert_allclose(score(said, 0.5), [0.0, -0.4], atol=1e-6)


def test_few_other_models_leave_the_labels_as_they_are(small: Table) -> None:
    rows = np.arange(50)
    np.testing.assert_array_equal(labels(small, PAIR, rows)[:, 0], small.outcomes["weak"][:50])


def test_denoised_labels_are_half_what_the_others_predict(small: Table) -> None:
    """Against a regression that leaves the question out by fitting anew without it."""
    draw = np.random.default_rng(1)
    chance = draw.random(len(small))
    others = {f"m{at}": (draw.random(len(small)) < chance).astype(np.float32) for at in range(9)}
    table = replace(
        small,
        outcomes={
            **others,
            "weak": (draw.random(len(small)) < chance) * np.float32(1),
            "strong": small.outcomes["strong"],
        },
    )
    rows = np.arange(len(table))
    mixed = labels(table, PAIR, rows)
    answers = np.stack([others[name] for name in sorted(others)], axis=1).astype(float)
    outcome = table.outcomes["weak"].astype(float)
    for left in (0, 17):
        kept = np.arange(len(table)) != left
        centred, target = answers - answers.mean(axis=0), outcome - outcome.mean()
        weights = np.linalg.solve(
            centred[kept].T @ centred[kept] + 20 * np.eye(9), centred[kept].T @ target[kept]
        )
        wanted = (1 - DENOISED) * outcome[left] + DENOISED * (outcome.mean() + centred[left] @ weights)
        assert abs(mixed[left, 0] - wanted) < 1e-4


def test_models_that_answered_nothing_say_nothing(small: Table) -> None:
    draw = np.random.default_rng(2)
    others = {f"m{at}": (draw.random(len(small)) < 0.5).astype(np.float32) for at in range(8)}
    silent = np.full(len(small), np.nan, np.float32)
    table = replace(small, outcomes={**small.outcomes, **others})
    more = replace(table, outcomes={**table.outcomes, "silent": silent})
    rows = np.arange(len(small))
    np.testing.assert_array_equal(labels(more, PAIR, rows), labels(table, PAIR, rows))


def test_difficulty_is_the_share_that_failed() -> None:
    table = Table(
        "t",
        ("a", "b"),
        ("1", "2"),
        ("g", "g"),
        ("d", "d"),
        "en",
        {
            "x": np.array([1, 0], np.float32),
            "y": np.array([np.nan, 0], np.float32),
            "z": np.array([0, 1], np.float32),
        },
    )
    np.testing.assert_allclose(difficulty(table), [5.0, 20 / 3], rtol=1e-6)
