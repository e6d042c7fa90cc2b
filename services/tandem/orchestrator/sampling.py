"""Signals + policy → how tokens are drawn, where the client leaves it open."""

from __future__ import annotations

from typing import Final

from tandem.enum_words import enum_words
from tandem.orchestrator.policy import Policy
from tandem.orchestrator.routing_policy import DECIDED_CONFIDENCE
from tandem.v1 import types_pb2

_TASKS: Final = enum_words(types_pb2.Task, "TASK_", None)


def choose(
    request: types_pb2.Sampling, signals: types_pb2.Signals | None, policy: Policy
) -> types_pb2.Sampling:
    """Return the client's fields, and the policy's for all others but seed and stop.

    The temperature goes by task, top-k by whether a professional asks. `signals` is None if the classifier
    was late or broken: then everything is undecided.
    """
    found = signals or types_pb2.Signals()
    chosen = types_pb2.Sampling(
        max_tokens=policy.sampling.max_tokens,
        temperature=_temperature(found.task, policy),
        top_p=policy.sampling.top_p,
        top_k=_top_k(found.professional, policy),
    )
    # Merging overwrites exactly those fields that the client has set, zero included.
    chosen.MergeFrom(request)
    return chosen


def _temperature(task: types_pb2.TaskSignal, policy: Policy) -> float:
    temperatures = policy.sampling.temperature
    if task.value == types_pb2.TASK_UNSPECIFIED or task.confidence < DECIDED_CONFIDENCE:
        return temperatures.undecided
    temperature: float = getattr(temperatures, _TASKS[task.value])
    return temperature


def _top_k(professional: types_pb2.ProfessionalSignal, policy: Policy) -> int:
    decided = professional.value and professional.confidence >= DECIDED_CONFIDENCE
    return policy.sampling.top_k.professional if decided else policy.sampling.top_k.general
