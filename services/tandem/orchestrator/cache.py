"""Exact-match cache of finished, undegraded answers: the least recently used entry goes first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from tandem.v1 import orchestrator_pb2, types_pb2

# Temperatures travel as 32-bit floats: 0.3 arrives as 0.30000001.
_FLOAT32 = 1e-6


class AnswerCache:
    """Answers by everything that changes them.

    Args:
        entries: most answers kept; 0 switches the cache off.
        max_temperature: an answer drawn at a higher temperature is not kept.
        revision: stands for the models and the policy; answers of another revision are never found.
    """

    def __init__(self, entries: int, max_temperature: float, revision: str) -> None:
        self._entries = entries
        self._max_temperature = max_temperature
        self._revision = revision.encode()
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    def key(self, request: orchestrator_pb2.GenerateRequest, tenant: str) -> bytes | None:
        """Return the key of a request, or None if it bypasses the cache."""
        if request.no_cache or self._entries == 0:
            return None
        digest = hashlib.sha256()
        for part in (self._revision, tenant.encode(), request.SerializeToString(deterministic=True)):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def find(self, key: bytes) -> types_pb2.Answer | None:
        """Return a copy of the answer under a key, marked as a hit that took no tokens."""
        stored = self._answers.get(key)
        if stored is None:
            return None
        self._answers.move_to_end(key)
        return types_pb2.Answer.FromString(stored)

    def keep(self, key: bytes, answer: types_pb2.Answer) -> None:
        """Keep an answer if it may be given again."""
        if not self._may_keep(answer):
            return
        kept = types_pb2.Answer(
            text=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            answered_by=answer.answered_by,
            cache=types_pb2.CACHE_OUTCOME_HIT,
        )
        if answer.HasField("fusion"):
            kept.fusion.CopyFrom(answer.fusion)
        if answer.HasField("confidence"):
            kept.confidence = answer.confidence
        self._answers[key] = kept.SerializeToString()
        self._answers.move_to_end(key)
        if len(self._answers) > self._entries:
            self._answers.popitem(last=False)

    def _may_keep(self, answer: types_pb2.Answer) -> bool:
        return (
            answer.finish_reason == types_pb2.FINISH_REASON_STOP
            and not answer.degradations
            and all(a.sampling.temperature <= self._max_temperature + _FLOAT32 for a in answer.plan.attempts)
        )
