"""Would catch an artifact that is published though it is worse, that forgets what it knew, or that tells a text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner, Result

from tandem.calibration.sample import sample_of
from tandem.classifier.artifact import load_artifact
from tandem.classifier.classify import signals_of
from tandem.classifier.conversation import read
from tandem.classifier.judge import Judge
from tandem.cli.app import app
from tandem.ledger.feedback import Feedback, add_feedback
from tandem.ledger.opening import open_ledger
from tandem.ledger.schema import reading
from tandem.training.classifier.own_adapting import Own, adapt, chance
from tandem.training.classifier.own_measure import apgr
from tandem.training.classifier.own_model import left_out
from tandem.training.classifier.own_rows import lay
from tandem.training.classifier.own_traffic import LEAST, TooFewLabels, learn
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes import artifacts
from tests.fakes.calls import user
from tests.fakes.entries import Tokens, entry, url_of

MACHINE = "zweibrücken"
COUNT = 160


@dataclass(frozen=True)
class Asked:
    """A question, and whether each tier was right; None: nobody said."""

    text: str
    r1: bool | None
    pro: bool | None


def traffic(count: int, seed: int) -> list[Asked]:
    """Return questions that R1 fails where they name the firm's own machine; Pro is nearly always right."""
    draw = np.random.default_rng(seed)
    found = []
    for number in draw.permutation(count):
        own = number % 2 == 0
        machine = f"{MACHINE} press" if own else "coffee kitchen"
        words = " ".join("".join(draw.choice(list("bcdfgaeiou"), 6)) for _ in range(4))
        right = bool(draw.random() < (0.1 if own else 0.9))
        found.append(
            Asked(f"What about {words} of the {machine} at {words[::-1]}?", right, bool(draw.random() < 0.95))
        )
    return found


def booked(folder: Path, asked: Sequence[Asked]) -> str:
    """Write requests with verdicts to a ledger, the way the orchestrator does; return its URL."""
    folder.mkdir(exist_ok=True)
    ledger, verdicts = open_ledger(url_of(folder)), []
    for number, each in enumerate(asked):
        made = entry(f"request-{number}", [Tokens("r1")], age=-timedelta(seconds=number))
        ledger.write(made._replace(messages=[user(each.text)]))
        for tier, right in (("r1", each.r1), ("pro", each.pro)):
            if right is not None:
                verdicts.append(Feedback(f"request-{number}", 1.0 if right else -1.0, "human", tier))
    asyncio.run(ledger.close())
    with reading(url_of(folder)) as connection:
        assert add_feedback(connection, verdicts) == []
    return url_of(folder)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["train", "classifier", *map(str, arguments)])


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("base") / "base.safetensors"
    artifacts.write(file)
    return file


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return booked(tmp_path_factory.mktemp("ledger"), traffic(COUNT, seed=1))


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, base: Path, ledger: str) -> Path:
    file = tmp_path_factory.mktemp("adapted") / "own.safetensors"
    learn(ledger, base, file, silent)
    return file


def judged(file: Path, asked: Sequence[Asked]) -> list[types_pb2.Signals]:
    judge = Judge(load_artifact(file))
    return [signals_of(classifier_pb2.ClassifyRequest(messages=[user(each.text)]), judge) for each in asked]


def test_own_labels_beat_the_artifact_on_questions_that_neither_saw(base: Path, adapted: Path) -> None:
    asked = traffic(120, seed=2)
    right = np.array([each.r1 for each in asked], float)
    before, after = (
        float(
            np.mean(
                [
                    (each.r1_suffices.value - truth) ** 2
                    for each, truth in zip(judged(file, asked), right, strict=True)
                ]
            )
        )
        for file in (base, adapted)
    )
    assert before > 0.2
    assert after < 0.15  # 0.09 is what chance leaves


def test_the_gain_is_learned_too(adapted: Path) -> None:
    asked = traffic(60, seed=3)
    gains = [
        (MACHINE in each.text, signals.expected_gain.value)
        for each, signals in zip(asked, judged(adapted, asked), strict=True)
    ]
    own, others = ([gain for own, gain in gains if own is side] for side in (True, False))
    assert np.mean(own) == pytest.approx(0.85, abs=0.2)
    assert np.mean(others) == pytest.approx(0.05, abs=0.2)


def test_what_own_labels_do_not_speak_of_stays(base: Path, adapted: Path) -> None:
    asked = [Asked("Prove that the square root of 2 is irrational.", None, None), *traffic(10, seed=4)]
    for before, after in zip(judged(base, asked), judged(adapted, asked), strict=True):
        assert after.complexity.value == pytest.approx(before.complexity.value, abs=0.02)
        assert (after.task.value, after.domain.value) == (before.task.value, before.domain.value)


def test_the_card_counts_and_tells_no_text(adapted: Path) -> None:
    card = load_artifact(adapted).header.card
    said = card["adapted"]
    assert isinstance(said, dict)
    assert (said["verdicts on R1"], said["verdicts on Pro"], said["verdicts on both"]) == (
        COUNT,
        COUNT,
        COUNT,
    )
    assert card["made"] == "by hand"
    assert MACHINE.encode() not in adapted.read_bytes()


def test_the_calibration_sample_is_of_own_requests(adapted: Path) -> None:
    scores = [each.r1_suffices for each in sample_of(adapted)]
    assert np.mean(np.array(scores) < 0.5) == pytest.approx(
        0.5, abs=0.1
    )  # every other request names the machine


def test_the_same_labels_give_the_same_bytes(tmp_path: Path, base: Path, ledger: str, adapted: Path) -> None:
    with threadpool_limits(2):
        learn(ledger, base, tmp_path / "again.safetensors", silent)
    assert (tmp_path / "again.safetensors").read_bytes() == adapted.read_bytes()


def test_labels_that_say_nothing_publish_nothing(tmp_path: Path, base: Path) -> None:
    asked = traffic(COUNT, seed=1)
    order = np.random.default_rng(5).permutation(COUNT)
    shuffled = [
        replace(each, r1=asked[at].r1, pro=asked[at].pro) for each, at in zip(asked, order, strict=True)
    ]
    out = tmp_path / "own.safetensors"
    result = run(
        "--from-ledger", booked(tmp_path / "l", shuffled), "--artifact", base, "--out", out, "--json"
    )
    assert result.exit_code == 1
    assert "Nothing was written" in result.stderr
    assert json.loads(result.stdout)["published"] is False
    assert not out.exists()


def test_an_artifact_that_exists_survives_a_refusal(tmp_path: Path, base: Path) -> None:
    out = tmp_path / "own.safetensors"
    out.write_bytes(base.read_bytes())
    same = [replace(each, r1=True, pro=True) for each in traffic(LEAST, seed=1)]
    result = run("--from-ledger", booked(tmp_path / "l", same), "--artifact", out, "--out", out)
    assert (result.exit_code, out.read_bytes()) == (1, base.read_bytes())


def test_too_few_labels_say_how_many_are_there(tmp_path: Path, base: Path) -> None:
    url = booked(tmp_path, traffic(LEAST - 1, seed=1))
    with pytest.raises(
        TooFewLabels, match=rf"{LEAST - 1} kept conversations with a verdict on R1 .* at least {LEAST}"
    ):
        learn(url, base, tmp_path / "own.safetensors", silent)
    result = run("--from-ledger", url, "--artifact", base, "--out", tmp_path / "own.safetensors")
    assert (result.exit_code, list(tmp_path.glob("*.safetensors"))) == (1, [])


def test_verdicts_on_r1_alone_do(tmp_path: Path, base: Path) -> None:
    url = booked(tmp_path, [replace(each, pro=None) for each in traffic(COUNT, seed=1)])
    made = learn(url, base, tmp_path / "own.safetensors", silent)
    assert (made.counts.r1, made.counts.pro, made.counts.both) == (COUNT, 0, 0)
    asked = traffic(40, seed=2)
    said = judged(tmp_path / "own.safetensors", asked)
    low = [each.r1_suffices.value for each, one in zip(said, asked, strict=True) if MACHINE in one.text]
    assert max(low) < 0.5


def test_verdicts_on_pro_alone_leave_what_is_said_of_r1(tmp_path: Path, base: Path) -> None:
    asked = [replace(each, r1=None, pro=each.r1) for each in traffic(COUNT, seed=1)]
    asked[:5] = [replace(each, r1=True) for each in asked[:5]]  # too few to learn from
    made = learn(booked(tmp_path, asked), base, tmp_path / "own.safetensors", silent)
    assert (made.counts.r1, made.counts.pro) == (0, COUNT)
    asked = traffic(40, seed=2)
    for one, before, after in zip(
        asked, judged(base, asked), judged(tmp_path / "own.safetensors", asked), strict=True
    ):
        assert after.r1_suffices.value == pytest.approx(before.r1_suffices.value, abs=0.01)
        assert (after.expected_gain.value < -0.1) is (MACHINE in one.text)


def test_an_adapted_artifact_is_adapted_again(tmp_path: Path, adapted: Path) -> None:
    turned = [replace(each, r1=not each.r1) for each in traffic(COUNT, seed=6)]
    made = learn(booked(tmp_path, turned), adapted, tmp_path / "again.safetensors", silent)
    again = load_artifact(tmp_path / "again.safetensors").header
    assert made.revision.startswith("by-hand-own-")
    assert sum(name.startswith("own.") for name in again.columns) == 2


def test_the_file_reads_what_was_learned(adapted: Path, base: Path) -> None:
    asked = traffic(COUNT, seed=1)
    artifact = load_artifact(base)
    laid = lay(artifact, [read([user(each.text)]) for each in asked])
    r1, pro = (np.array([getattr(each, tier) for each in asked], float) for tier in ("r1", "pro"))
    own = Own(laid, r1, pro, np.arange(COUNT))
    found = adapt(artifact.header, own)
    assert found.suffices
    expected = found.suffices.read(found.score(laid))
    assert [each.r1_suffices.value for each in judged(adapted, asked)] == pytest.approx(
        expected.tolist(), abs=0.03
    )


def test_a_base_is_laid_out_as_it_judges(base: Path) -> None:
    artifact = load_artifact(base)
    messages = [
        types_pb2.Message(role=types_pb2.ROLE_SYSTEM, parts=[types_pb2.Part(text="You are a lawyer.")]),
        user("Prove it."),
    ]
    columns = lay(artifact, [read(messages)]).columns[0]
    hard = Judge(artifact).judge(read(messages)).complexity.value
    assert hard == pytest.approx(np.clip(columns[0], 0, 10), abs=1e-3)


def test_leaving_out_a_group_is_learning_without_it() -> None:
    draw = np.random.default_rng(0)
    spread = draw.normal(size=(12, 3))
    kernel, missing = spread @ spread.T + np.eye(12), draw.normal(size=12)
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8])
    found = left_out(kernel, missing, groups)
    for number in range(9):
        out, rest = np.flatnonzero(groups == number), np.flatnonzero(groups != number)
        said = kernel[np.ix_(out, rest)] @ np.linalg.solve(kernel[np.ix_(rest, rest)], missing[rest])
        assert found[out] == pytest.approx(missing[out] - said)


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0, 1)), min_size=2, max_size=30))
def test_a_chance_rises_with_the_score(pairs: list[tuple[float, float]]) -> None:
    score, right = np.array(pairs).T
    found = chance(score, right)
    assert np.all(np.diff(found.value) > 0)
    assert 0 <= min(found.value) <= max(found.value) <= 1


def test_the_gap_recovered_by_an_order_that_knows_all_and_one_that_knows_nothing() -> None:
    weak, strong = np.repeat([0.0, 1.0], 50), np.ones(100)
    assert apgr(-weak, weak, strong) == pytest.approx(0.75)  # the curve rises to 1 at half of the share
    assert apgr(weak, weak, strong) == pytest.approx(0.25)


@pytest.mark.parametrize("words", [(), ("--data", ".", "--json"), ("--data", ".", "--artifact", "x")])
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("--out", tmp_path / "x", *words).exit_code == 2


def test_a_ledger_that_is_not_there(tmp_path: Path, base: Path) -> None:
    result = run("--from-ledger", url_of(tmp_path / "none"), "--artifact", base, "--out", tmp_path / "x")
    assert result.exit_code == 2
    assert "no ledger" in result.stderr
