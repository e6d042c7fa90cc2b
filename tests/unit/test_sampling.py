"""Would catch sampling that ignores the client, follows an unsure finding, or has a wrong value by task."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalogue import load_catalogue
from tandem.orchestrator.policy import Policy, load_policy
from tandem.orchestrator.sampling import choose
from tandem.v1 import types_pb2

DEPLOY = Path(__file__).parents[2] / "deploy"
POLICY = load_policy(DEPLOY / "policy.yaml", load_catalogue(DEPLOY / "catalogue.yaml"))

# Written down from the design, not from the code.
TEMPERATURES = {
    types_pb2.TASK_CREATIVE: 0.8,
    types_pb2.TASK_FACTUAL: 0.3,
    types_pb2.TASK_REASONING: 0.3,
    types_pb2.TASK_MATHEMATICS: 0.2,
    types_pb2.TASK_CODE: 0.2,
    types_pb2.TASK_EXTRACTION: 0.2,
    types_pb2.TASK_TRANSLATION: 0.3,
    types_pb2.TASK_CHAT: 0.7,
    types_pb2.TASK_UNSPECIFIED: 0.5,
}


def signals(
    task: types_pb2.Task.ValueType = types_pb2.TASK_UNSPECIFIED,
    confidence: float = 1.0,
    professional: bool | None = None,
) -> types_pb2.Signals:
    return types_pb2.Signals(
        task=types_pb2.TaskSignal(value=task, confidence=confidence),
        professional=types_pb2.ProfessionalSignal(value=professional, confidence=confidence),
    )


@pytest.mark.parametrize("task", types_pb2.Task.values())
def test_temperature_goes_by_task(task: types_pb2.Task.ValueType) -> None:
    chosen = choose(types_pb2.Sampling(), signals(task), POLICY)
    assert chosen.temperature == pytest.approx(TEMPERATURES[task], abs=1e-6)


@pytest.mark.parametrize(
    ("professional", "confidence", "top_k"),
    [(True, 1.0, 25), (True, 0.5, 25), (True, 0.49, 50), (False, 1.0, 50), (None, 1.0, 50)],
)
def test_top_k_goes_by_who_asks(professional: bool | None, confidence: float, top_k: int) -> None:
    found = signals(professional=professional, confidence=confidence)
    assert choose(types_pb2.Sampling(), found, POLICY).top_k == top_k


@pytest.mark.parametrize(("confidence", "temperature"), [(0.49, 0.5), (0.5, 0.8)])
def test_a_finding_below_half_is_undecided(confidence: float, temperature: float) -> None:
    found = signals(types_pb2.TASK_CREATIVE, confidence)
    assert choose(types_pb2.Sampling(), found, POLICY).temperature == pytest.approx(temperature)


@pytest.mark.parametrize("found", [None, types_pb2.Signals()])
def test_without_signals_everything_is_undecided(found: types_pb2.Signals | None) -> None:
    assert choose(types_pb2.Sampling(), found, POLICY) == types_pb2.Sampling(
        max_tokens=512, temperature=0.5, top_p=0.95, top_k=50
    )


def test_the_values_are_those_of_the_policy() -> None:
    other = Policy.model_validate(
        {
            **POLICY.model_dump(by_alias=True),
            "sampling": {
                "max_tokens": 7,
                "top_p": 0.5,
                "temperature": {"code": 1.5},
                "top_k": {"professional": 3},
            },
        }
    )
    chosen = choose(types_pb2.Sampling(), signals(types_pb2.TASK_CODE, professional=True), other)
    assert chosen == types_pb2.Sampling(max_tokens=7, top_p=0.5, temperature=1.5, top_k=3)


_requests = st.builds(
    types_pb2.Sampling,
    max_tokens=st.none() | st.integers(1, 32768),
    temperature=st.none() | st.just(0.0) | st.floats(0, 2, width=32),
    top_p=st.none() | st.floats(0.0078125, 1, width=32),
    top_k=st.none() | st.integers(1, 1000),
    seed=st.none() | st.integers(0, 2**32 - 1),
    stop=st.lists(st.text(min_size=1, max_size=8), max_size=8),
)
_signals = st.none() | st.builds(
    signals, st.sampled_from(types_pb2.Task.values()), st.floats(0, 1, width=32), st.none() | st.booleans()
)


@given(_requests, _signals)
def test_the_client_wins_and_everything_else_is_set(
    request: types_pb2.Sampling, found: types_pb2.Signals | None
) -> None:
    before = types_pb2.Sampling.FromString(request.SerializeToString())
    chosen = choose(request, found, POLICY)
    for name in ("max_tokens", "temperature", "top_p", "top_k", "seed"):
        if request.HasField(name):
            assert getattr(chosen, name) == getattr(request, name)
        else:
            assert chosen.HasField(name) == (name != "seed")
    assert chosen.stop == request.stop
    assert request == before
