"""Would catch a bench that measures wrongly, learns from what it measures on, or lets a bad artifact pass."""

from __future__ import annotations

import importlib.util
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_bench import gains, gate, perturb, speed
from routing_bench.corpus import Corpus, RowMissing, read
from routing_bench.protocol import Mode, Outcome, apgr, oracle, share_for
from routing_bench.report import table
from routing_bench.row import Row
from routing_bench.shipped import outcome_of
from tandem.classifier.artifact import load_artifact, write_artifact
from tandem.classifier.judge import Judge
from tests.fakes import artifacts
from tests.fakes.encoders import WordEncoder

# They learn for seconds, and a busy machine is slow.
pytestmark = pytest.mark.timeout(180)

DATA = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
REFERENCE = DATA / "eval_router.py"


def drawn(seed: int, count: int = 500) -> Outcome:
    """Scores that know a little, of a strong and a weak model."""
    draw = np.random.default_rng(seed)
    weak, strong = (draw.random(count) < 0.6) * 1.0, (draw.random(count) < 0.8) * 1.0
    return Outcome(strong - weak + draw.normal(0, 2, count), weak, strong)


@pytest.fixture(scope="module")
def reference() -> Callable[..., dict[str, float]]:
    """The metrics of the reference, which is not part of this project."""
    if not REFERENCE.is_file():
        pytest.skip(f"no reference in {DATA}; set TANDEM_DATA")
    spec = importlib.util.spec_from_file_location("eval_router", REFERENCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., dict[str, float]] = module.metrics
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_protocol_is_the_reference(reference: Callable[..., dict[str, float]], seed: int) -> None:
    outcome = drawn(seed)
    modes: tuple[Mode, ...] = ("routellm", "exact")
    for mode in modes:
        wanted = reference(outcome.score, outcome.strong, outcome.weak, mode)
        assert apgr(outcome, mode) == pytest.approx(wanted["APGR"], abs=1e-12)
        assert share_for(outcome, 0.5, mode) == pytest.approx(wanted["CPT50"], abs=1e-9)


@given(st.integers(0, 10_000))
def test_the_oracle_is_what_arithmetic_says(seed: int) -> None:
    """In closed form, of the parts where one model alone is right."""
    outcome = drawn(seed)
    better, worse = (outcome.strong > outcome.weak).mean(), (outcome.strong < outcome.weak).mean()
    gap = better - worse
    area = (better**2 / 2 + (1 - better - worse) * better + worse * (better + gap) / 2) / gap
    assert apgr(oracle(outcome), "exact") == pytest.approx(area, abs=1e-9)
    assert apgr(outcome, "exact") <= area + 1e-9


def test_chance_is_a_half() -> None:
    outcome = drawn(0, 4000)
    found = [apgr(outcome.scored(np.random.default_rng(seed).random(4000))) for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.02)


def row(name: str, value: float, **more: Any) -> Row:
    return Row(name, value, value - 0.02, value + 0.02, **more)


def test_the_gate_lets_noise_pass_and_nothing_else() -> None:
    committed = [row("a", 0.7).as_object(), row("e", 0.02, smaller=True).as_object()]
    assert not gate.regressions([row("a", 0.69), row("e", 0.03, smaller=True)], committed)
    worse = gate.regressions([row("a", 0.67), row("e", 0.05, smaller=True)], committed)
    assert [problem[0] for problem in worse] == ["a", "e"]
    assert gate.regressions([row("a", float("nan")), row("e", 0.02, smaller=True)], committed)
    assert "is not now" in gate.regressions([row("a", 0.7)], committed)[0]


def test_the_gate_holds_time_to_its_bar_alone() -> None:
    before = [row("t", 0.5, bar=1.0, smaller=True, timed=True).as_object()]
    assert not gate.regressions([row("t", 0.9, bar=1.0, smaller=True, timed=True)], before)
    assert gate.regressions([row("t", 1.1, bar=1.0, smaller=True, timed=True)], before)


def test_the_gate_holds_a_size_to_its_bar_alone() -> None:
    before = [Row("size", 8.90, 8.90, 8.90, bar=20, smaller=True).as_object()]
    assert not gate.regressions([Row("size", 8.91, 8.91, 8.91, bar=20, smaller=True)], before)
    assert gate.regressions([Row("size", 20.1, 20.1, 20.1, bar=20, smaller=True)], before)


def test_a_bad_artifact_fails_the_gate(tmp_path: Path) -> None:
    """Its weights are those of the good one, in another order."""
    good = artifacts.judge(tmp_path)
    weights = artifacts.weights()
    order = np.random.default_rng(3).permutation(len(weights.dense))
    bad_file = tmp_path / "bad.safetensors"
    write_artifact(
        bad_file, artifacts.header(), replace(weights, dense=-weights.dense[order]), artifacts.terms()
    )
    bad = Judge(load_artifact(bad_file))
    texts = [
        f"Prove that theorem {at} follows from the lemma, step by step." if at % 2 else f"What is item {at}?"
        for at in range(200)
    ]
    weak, strong = [float(at % 2 == 0) for at in range(200)], [1.0] * 200
    rows = {
        name: Row(
            "shipped",
            value := apgr(outcome_of(judge, texts, weak, strong), "exact"),
            value - 0.05,
            value + 0.05,
        )
        for name, judge in (("good", good), ("bad", bad))
    }
    committed = [rows["good"].as_object()]
    assert not gate.regressions([rows["good"]], committed)
    assert gate.regressions([rows["bad"]], committed)


def test_an_encoder_is_timed_on_the_weights_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ENCODED_ROUNDS", 1)
    artifacts.write(tmp_path / "a")
    words = WordEncoder()
    rows = speed.encoded(tmp_path / "a", words)
    asked = {speed.text_of(tokens, chinese, 0) for tokens in speed.SIZES for chinese in (False, True)}
    assert asked == set(words.asked)
    assert {row.name for row in rows if "500 tokens, zh" in row.name} == {
        "latency p50, ms, 500 tokens, zh",
        "latency p99, ms, 500 tokens, zh",
        "per second, 500 tokens, zh",
    }


@pytest.mark.parametrize("kind", perturb.KINDS)
@pytest.mark.parametrize(
    "text", ["Which of these rivers is the longest in Europe?", "下列关于合同效力的说法哪一项正确"]
)
def test_what_is_said_differently_stays_what_it_is(kind: perturb.Kind, text: str) -> None:
    found = [perturb.perturbed(text, kind, seed) for seed in range(8)]
    assert any(each != text for each in found)
    assert found == [perturb.perturbed(text, kind, seed) for seed in range(8)]
    assert all(abs(len(each) - len(text)) <= 60 for each in found)
    if kind == "typos":
        assert all(sorted(each) == sorted(text) for each in found)


def write(folder: Path, texts: list[str], subjects: list[str]) -> None:
    """Write a table in the form of MMLU's."""
    folder.mkdir()
    draw = np.random.default_rng(len(texts))
    columns = {
        "prompt": texts,
        "subject": subjects,
        "qkey": [f"{zlib.crc32(text.encode()):x}" for text in texts],
        "weak": (draw.random(len(texts)) < 0.5).tolist(),
        "strong": (draw.random(len(texts)) < 0.8).tolist(),
    }
    pq.write_table(pa.table(columns), folder / "routellm_mmlu.parquet")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two folders that share a question."""
    base = tmp_path_factory.mktemp("folders")
    words = ["river", "treaty", "enzyme", "poem", "market", "planet", "statute"]
    long = (
        "Which of the many things that were said about the {} of {} in the year {} is the one that is true?"
    )
    first = [long.format(words[at % 7], words[at % 5], at * 37) for at in range(90)]
    write(base / "train", first, ["a", "b", "c"] * 30)
    write(
        base / "test",
        [first[4].upper(), *(long.format("moon", "tide", at * 41) for at in range(49))],
        ["a", "z"] * 25,
    )
    return read(base / "train", base / "test", quick=True)


def test_nothing_of_the_second_folder_is_learned(two: Corpus) -> None:
    [(learned, asked)] = list(two.splits("mmlu"))
    source = two.source("mmlu")
    assert source.tested[asked].all()
    assert not source.tested[learned].any()
    assert len(asked) == 50
    assert 4 not in learned


def test_groups_that_were_learned_are_not_asked(two: Corpus) -> None:
    [(_, asked)] = list(two.splits("mmlu", groups=True))
    assert {two.source("mmlu").table.groups[row] for row in asked} == {"z"}


def test_what_is_missing_is_said(two: Corpus) -> None:
    with pytest.raises(RowMissing, match="gsm8k"):
        gains.cross(two, "gsm8k")


def test_a_row_has_everybody_beside_it(two: Corpus) -> None:
    wanted = next(each for each in gains.Rows(two).wanted() if each.name == "MMLU, by question")
    made = gains.make(wanted, two)
    found = made.as_object()
    assert {"random", "knn", "oracle", "always_r1", "always_pro", "exact", "cpt50"} <= found.keys()
    assert {"name", "value", "low", "high", "baseline", "bar", "met"} <= found.keys()
    assert made.low <= made.value <= made.high
    assert "MMLU, by question" in table([made])


def test_judged_conversations_are_measured_and_never_learned(tmp_path: Path) -> None:
    write(
        tmp_path / "train",
        [f"Which is the larger of {at} and {at * 7 % 11}?" for at in range(80)],
        ["a"] * 80,
    )
    draw = np.random.default_rng(0)
    (tmp_path / "test").mkdir()
    columns = {
        "question_id": list(range(40)),
        "category": ["writing", "math"] * 20,
        "turn1": [
            f"Write about number {at}, please." if at % 2 else f"Compute {at} times {at + 3}."
            for at in range(40)
        ],
        "turn2": ["Once more."] * 40,
        "weak": draw.uniform(1, 10, 40).tolist(),
        "strong": draw.uniform(5, 10, 40).tolist(),
    }
    pq.write_table(pa.table(columns), tmp_path / "test" / "routellm_mtbench.parquet")
    corpus = read(tmp_path / "train", tmp_path / "test", quick=True)
    wanted = next(each for each in gains.Rows(corpus).wanted() if each.name == "MT-Bench")
    made = gains.make(wanted, corpus)
    assert made.more["questions"] == 40
    assert 1 <= made.more["always_r1"] < made.more["always_pro"] <= 10
