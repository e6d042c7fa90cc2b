"""Would catch a choice of hyper-parameters that solves something else than the heads do, or is no choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.training.classifier import choosing, design
from tandem.training.classifier.choosing import Grid, Known, NothingToChoose
from tandem.training.classifier.data import Pair, Table
from tandem.training.classifier.hyperparameters import OWN, Hyperparameters
from tandem.training.classifier.labelled import LABELS_FILE
from tandem.training.classifier.train import chosen_on

PAIR = Pair("small", "weak", "strong")
KINDS = ("integral", "matrix", "poem")


def known(table: Table) -> Known:
    """All questions of a table, each for itself."""
    features = design.batch(table.texts)
    return Known(table, PAIR, features, choosing.alike(features), np.arange(len(table)))


def three_kinds() -> Table:
    """Both models are right on `integral`, neither on `matrix`, the strong one alone on `poem`."""
    kinds = [KINDS[at % 3] for at in range(150)]
    return Table(
        "small",
        tuple(f"Say what the {kind} with the number {at * 37} is." for at, kind in enumerate(kinds)),
        tuple(map(str, range(150))),
        tuple(f"{kind} {at % 4}" for at, kind in enumerate(kinds)),
        ("general",) * 150,
        "en",
        {
            "weak": np.array([kind == "integral" for kind in kinds], np.float32),
            "strong": np.array([kind != "matrix" for kind in kinds], np.float32),
        },
    )


def test_ridge_over_questions_is_ridge_over_features(small: Table) -> None:
    """Against the normal equations over the features, constant left free by centring."""
    features = design.batch(small.texts)
    laid = design.Design.of(features.dense, 1.4, 0.5)
    rows = laid.rows(features).toarray().astype(float)
    used = rows[:, np.flatnonzero(rows.any(axis=0))]
    learned, asked = np.arange(100), np.arange(100, 240)
    targets = np.stack([small.outcomes["weak"], small.outcomes["strong"]], axis=1)[learned]
    centre = used[learned].mean(axis=0)
    inside = used[learned] - centre
    weights = np.linalg.solve(
        inside.T @ inside + 3 * np.eye(used.shape[1]), inside.T @ (targets - targets.mean(axis=0))
    )
    wanted = (used[asked] - centre) @ weights + targets.mean(axis=0)
    waves, rest = laid.numbers(features)
    kernel = choosing.alike(features) + waves @ waves.T + rest @ rest.T
    assert np.abs(choosing.ridge(kernel, learned, asked)(targets, 3.0) - wanted).max() < 1e-3


def test_the_setting_that_serves_is_chosen() -> None:
    """What the weak model fails is no guide here: on half of it the strong one fails too."""
    grid = Grid(penalties=(4.0,), forms=(1.0,), widths=(0.7,), denoised=(0.5,), trusts=(0.0, 1.0))
    found = choosing.choose([known(three_kinds())], grid)
    assert found.hyperparameters == OWN
    assert found.apgr > 0.8
    assert choosing.choose([known(three_kinds())], grid) == found


def test_every_setting_is_tried_once_and_by_its_name() -> None:
    grid = Grid(penalties=(2.0, 8.0), trusts=(0.5,))
    settings = grid.settings()
    assert len(set(settings)) == len(settings) == 2 * 3 * 4 * 3
    values = choosing.values(known(three_kinds()), grid)
    assert values is not None
    for at in (0, 17, 71):
        one = settings[at]
        alone = Grid(*((value,) for value in (one.penalty, one.form, one.width, one.denoised, one.trust)))
        tried = choosing.values(known(three_kinds()), alone)
        assert tried is not None
        assert tried[0] == values[at]


def test_some_of_the_questions_are_alike_as_before(small: Table) -> None:
    rows = np.array([3, 50, 7])
    taken = known(small).take(rows)
    np.testing.assert_array_equal(taken.alike, choosing.alike(taken.features))
    assert taken.table.texts == tuple(small.texts[row] for row in rows)
    assert taken.units == (3, 50, 7)


def test_two_subjects_are_too_few_to_choose_on(small: Table) -> None:
    with pytest.raises(NothingToChoose, match="Leave them as they are"):
        chosen_on({"mmlu": small}, lambda _: None)


def test_training_chooses_by_subject_and_tells() -> None:
    said: list[str] = []
    table = replace(three_kinds(), name="mmlu")
    found = chosen_on({"mmlu": table}, said.append)
    assert isinstance(found, Hyperparameters)
    assert found.told() in said[-1]


def test_of_a_large_table_a_part_is_drawn() -> None:
    rows = np.arange(5000) * 2
    part = choosing.drawn(rows)
    assert len(part) == choosing.MOST
    assert set(part) < set(rows)
    np.testing.assert_array_equal(part, choosing.drawn(rows))


def test_the_command_says_what_to_do_where_there_is_nothing_to_choose_on(
    small: Table, tmp_path: Path
) -> None:
    columns = {
        "prompt": small.texts,
        "subject": small.groups,
        "qkey": small.keys,
        **{side: found.tolist() for side, found in small.outcomes.items()},
    }
    pq.write_table(pa.table(columns), tmp_path / "routellm_mmlu.parquet")
    (tmp_path / LABELS_FILE).touch()
    out = tmp_path / "artifact"
    made = CliRunner().invoke(
        app, ["train", "classifier", "--data", str(tmp_path), "--choose", "--out", str(out)]
    )
    assert made.exit_code == 2
    assert "Leave them as they are" in made.stderr
    assert not out.exists()
    wrong = CliRunner().invoke(
        app, ["train", "classifier", "--from-ledger", "sqlite://", "--choose", "--out", str(out)]
    )
    assert wrong.exit_code == 2
    assert "--choose" in wrong.stderr
