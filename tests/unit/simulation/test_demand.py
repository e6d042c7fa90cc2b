"""Would catch requests that are not as long, as many or as uneven as was asked for, and traces that are misread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.simulation.demand import BadTrace, Drawn, Recorded, read_trace
from tandem.simulation.lengths import BadLengths, Lengths, parse_lengths
from tests.unit.simulation.deployments import DEMAND

MANY = 40_000


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_lengths_have_the_quantiles_that_were_given() -> None:
    lengths = parse_lengths("p50=200, p90=450,p99=900")
    drawn = lengths.draw(MANY, random())
    assert np.quantile(drawn, [0.5, 0.9, 0.99]) == pytest.approx([200, 450, 900], rel=0.03)
    assert drawn.mean() == pytest.approx(lengths.mean, rel=0.01)
    # From the median down as from the median up to the next: log-linear.
    assert np.quantile(drawn, 0.25) == pytest.approx(200 * (450 / 200) ** (-0.25 / 0.4), rel=0.03)


def test_one_length_is_that_of_all() -> None:
    assert set(parse_lengths("128").draw(100, random()).tolist()) == {128}
    assert parse_lengths("128").mean == 128.0


@given(st.dictionaries(st.floats(0.01, 0.99), st.floats(1.0, 1e5), min_size=1, max_size=4))
@settings(max_examples=50)
def test_every_length_is_a_token_or_more(quantiles: dict[float, float]) -> None:
    ordered = dict(zip(sorted(quantiles), sorted(quantiles.values()), strict=True))
    assert Lengths(ordered).draw(200, random()).min() >= 1


@pytest.mark.parametrize(
    "text", ["", "x", "p0=5", "p100=5", "p50=0", "p50=9,p90=3", "p50=1,p50=2", "p50", "p50=nan"]
)
def test_what_gives_no_lengths_is_refused(text: str) -> None:
    with pytest.raises(BadLengths):
        parse_lengths(text)


@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_drawn_requests_come_at_the_rate(burst: float) -> None:
    drawn = Drawn(DEMAND.prompt, DEMAND.answer, 30.0, 0.2, burst).traffic(50.0, MANY, random())
    assert MANY / drawn.seconds == pytest.approx(50.0, rel=0.1)
    by_second = np.bincount(np.array(drawn.arrivals, int))
    # Poisson's variance is its mean.
    assert (by_second.var() > 1.5 * by_second.mean()) == (burst > 1.0)
    assert np.mean(np.array(drawn.r1_suffices) < 0.5) == pytest.approx(0.2, abs=0.01)


def recorded() -> Recorded:
    """A busy minute and a quiet one: 10 and 1 requests per second."""
    arrivals = np.concatenate([np.arange(600) / 10.0, 60.0 + np.arange(60.0)])
    return Recorded(arrivals, DEMAND.sample(660, random()))


@pytest.mark.parametrize("times", [0.1, 0.5, 1.0, 2.5])
def test_a_recording_keeps_its_shape_at_any_rate(times: float) -> None:
    trace = recorded()
    drawn = trace.traffic(times * trace.per_second, 6000, random())
    arrivals = np.array(drawn.arrivals)
    assert len(drawn) == 6000
    assert (np.diff(arrivals) >= 0.0).all()
    assert 6000 / drawn.seconds == pytest.approx(times * trace.per_second, rel=0.1)
    length = 660 / trace.per_second
    assert np.mean(arrivals % length < 60.0) == pytest.approx(600 / 660, abs=0.02)


def test_at_its_own_rate_a_recording_is_itself() -> None:
    trace = recorded()
    drawn = trace.traffic(trace.per_second, 660, random())
    assert drawn.arrivals == pytest.approx([*(np.arange(600) / 10.0), *(60.0 + np.arange(60.0))])
    assert drawn.wanted_tokens == trace.sample(1, random()).wanted_tokens.tolist()


def test_a_trace_says_what_it_says_and_the_rest_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    lines = [
        {"at": 2.0, "prompt_tokens": 7, "answer_tokens": 8, "complexity": 8.0},
        {"at": 1.0, "prompt_tokens": 5, "answer_tokens": 6, "deadline": 2.5, "r1_suffices": 0.9},
        {"at": 4, "prompt_tokens": 9, "answer_tokens": 1},
    ]
    file.write_text("\n\n".join(map(json.dumps, lines)))
    questions = read_trace(file, DEMAND, random()).sample(1, random())
    assert questions.prompt_tokens.tolist() == [5, 7, 9]
    assert questions.wanted_tokens.tolist() == [6, 8, 1]
    assert questions.deadlines.tolist() == [2.5, 12.0, 12.0]
    assert questions.r1_suffices[:2] == pytest.approx([0.9, 0.2])
    assert 0.0 <= questions.r1_suffices[2] <= 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs two requests"),
        ('{"at": 1, "prompt_tokens": 1, "answer_tokens": 1}\n' * 2, "at different times"),
        ("{}", "1: at: Field required"),
        ('{"at": 1, "prompt_tokens": 1, "answer_tokens": 1, "colour": "red"}', "1: colour: Extra inputs"),
        ('{"at": 1, "prompt_tokens": 0, "answer_tokens": 1}', "1: prompt_tokens: Input should be greater"),
        ("\nhello", "2: is not a JSON object"),
        ("\n\udcff\udcfe", "2: is not a JSON object"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadTrace, match=message):
        read_trace(file, DEMAND, random())
