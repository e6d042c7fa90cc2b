"""Would catch a bench that leaks, that measures something else than the service, or rows that nobody can read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fusion as bench
from fusion_bench.row import Row, interval, table
from fusion_bench.served import Told
from fusion_bench.voting import calibration_row, panel_row
from tests.fakes.recorded import write_choices

ACCURACIES = (0.7, 0.65, 0.62, 0.5)
KEYS = {"name", "value", "low", "high", "best_single", "majority", "baseline", "bar", "met"}


def told(right: list[float], expected: list[float]) -> Told:
    """Return what a vote made of a few questions, beside a best voice that is right once."""
    zeros = np.zeros(len(right))
    best = zeros.copy()
    best[0] = 1.0
    return Told(np.array(right), np.array(expected), best, zeros, zeros + 1)


def test_all_rows_are_measured_on_a_second_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / "learn", tmp_path / "measure"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        write_choices(folder, 200, ACCURACIES, seed)
    words = [
        "--train",
        str(folders[0]),
        "--test",
        str(folders[1]),
        "--json",
        "--plots",
        str(tmp_path / "plots"),
    ]
    assert bench.main(words) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert all(row.keys() >= KEYS for row in rows.values())
    assert {
        "mmlupro, top 3",
        "mmlupro, all",
        "two voices, mmlupro",
        "two voices, pooled",
        "calibration (ECE), mmlupro, all",
        "unseen field, mmlupro, all",
        "8 short answers, ms",
    } <= rows.keys()
    assert rows["mmlupro, all"]["value"] > rows["mmlupro, all"]["best_single"]
    assert rows["mmlupro, all"]["bar"] == 0.74
    assert {file.name for file in (tmp_path / "plots").iterdir()} == {
        "fusion_reliability.png",
        "fusion_risk_coverage.png",
        "fusion_frontier.png",
    }


def test_a_folder_without_answers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--train", str(tmp_path)]) == 2
    assert "TANDEM_DATA" in capsys.readouterr().err


def test_calibration_is_the_mean_distance_of_ten_bins() -> None:
    row = calibration_row("x", [told([1, 0, 1, 1], [0.55, 0.55, 0.95, 0.95])])
    assert row.value == pytest.approx(0.5 * abs(0.55 - 0.5) + 0.5 * abs(0.95 - 1.0))


def test_without_a_bar_a_vote_may_not_be_below_the_best_voice_beyond_noise() -> None:
    assert panel_row("x", [told([1, 1, 0, 0], [0.5] * 4)]).met
    worse = Told(np.zeros(400), np.zeros(400), np.ones(400), np.ones(400), np.ones(400))
    assert panel_row("x", [worse]).met is False


def test_interval_holds_the_mean_and_shrinks_with_questions() -> None:
    few, many = (np.tile([0.0, 1.0], count) for count in (20, 2000))
    low, high = interval([few])
    narrow = interval([many])
    assert low < 0.5 < high
    assert narrow[1] - narrow[0] < (high - low) / 5


def test_table_says_whether_a_bar_is_met() -> None:
    text = table([Row("good", 0.9, 0.8, 0.95, met=True, bar=0.85), Row("bad", 0.1, 0.1, 0.1, met=False)])
    assert "yes" in text.splitlines()[1]
    assert text.splitlines()[2].endswith("no")
