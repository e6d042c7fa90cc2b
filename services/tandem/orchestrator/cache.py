"""Exact-match cache of finished, undegraded answers: in memory, and behind it a level that replicas share.

A key is a digest of everything that changes an answer, so neither level holds prompts or media.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, Protocol

from tandem.call import Call
from tandem.clock import now
from tandem.orchestrator.policy import Cache
from tandem.v1 import orchestrator_pb2, types_pb2

LOCAL_SECONDS: Final = 60.0
"""Longest time that an answer stays in memory when there is a shared level: so long may a replica still give what
another one was told to forget."""

REMEMBERED: Final = 10_000
"""Requests, the latest ones, whose identifiers lead to the answer that they got from the cache."""

# Temperatures travel as 32-bit floats: 0.3 arrives as 0.30000001.
_FLOAT32 = 1e-6


class SharedLevel(Protocol):
    """Answers that all replicas share. Only `find` is waited for on the way to an answer, and not for long."""

    async def find(self, key: bytes, call: Call) -> tuple[bytes, float] | None:
        """Return an answer and the seconds it has left; None: there is none, or it did not come in time."""

    def keep(self, key: bytes, answer: bytes, seconds: float) -> None:
        """Keep an answer for some time."""

    def note(self, key: bytes, who: bytes, seconds: float) -> None:
        """Remember for some time that a request got the answer under a key."""

    async def forget(self, keys: set[bytes], who: bytes, call: Call) -> bool:
        """Remove answers by their keys and by a request that got them; return whether there was one.

        Raises:
            BackendUnavailable: the level does not answer.
        """


@dataclass(frozen=True, slots=True)
class _Entry:
    answer: bytes
    maker: bytes
    """Which request made it."""
    expires: float
    """On the clock of `tandem.clock.now()`."""


class AnswerCache:
    """Answers by everything that changes them.

    Args:
        policy: what is kept, and for how long.
        revision: stands for the models and the policy; answers of another revision are never found.
        shared: the level behind the memory; None: there is none.
    """

    def __init__(self, policy: Cache, revision: str, shared: SharedLevel | None = None) -> None:
        self._shared = shared
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self.adopt(policy, revision)
        self._served: deque[tuple[bytes, bytes]] = deque(maxlen=REMEMBERED)

    def adopt(self, policy: Cache, revision: str) -> None:
        """Keep and find by another policy from now on; answers of another revision wait to be found or forgotten."""
        self._policy = policy
        self._hottest = policy.max_temperature + _FLOAT32
        self._revision = revision.encode()
        self._local_seconds = min(policy.ttl_seconds, LOCAL_SECONDS) if self._shared else policy.ttl_seconds
        while len(self._entries) > policy.entries:
            self._entries.popitem(last=False)

    @property
    def is_shared(self) -> bool:
        """Whether there is a level behind the memory."""
        return self._shared is not None

    @property
    def held(self) -> int:
        """Answers in memory, also those whose time is over and that nobody has asked for since."""
        return len(self._entries)

    def key(self, request: orchestrator_pb2.GenerateRequest, tenant: str) -> bytes | None:
        """Return the key of a request, or None if it bypasses the cache.

        It does if it says so, and if it asks for a temperature at which answers are meant to differ.
        """
        if request.no_cache or self._policy.entries == 0 or request.sampling.temperature > self._hottest:
            return None
        return _digest(self._revision, tenant.encode(), request.SerializeToString(deterministic=True))

    def find(self, key: bytes, call: Call) -> types_pb2.Answer | None:
        """Return a copy of the answer in memory under a key, marked as a hit that took no tokens."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        self.note(key, call)
        return types_pb2.Answer.FromString(entry.answer)

    async def find_shared(self, key: bytes, call: Call) -> types_pb2.Answer | None:
        """Return the answer that the shared level has under a key; it is in memory from then on."""
        found = await self._shared.find(key, call) if self._shared else None
        if found is None:
            return None
        stored, seconds = found
        answer = types_pb2.Answer.FromString(stored)
        self._put(key, stored, _requester(call.tenant, answer.source_request_id), seconds)
        self.note(key, call)
        return answer

    def keep(self, key: bytes, answer: types_pb2.Answer, call: Call) -> None:
        """Keep an answer if it may be given again."""
        if not self._may_keep(answer):
            return
        kept = types_pb2.Answer(
            text=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            answered_by=answer.answered_by,
            cache=types_pb2.CACHE_OUTCOME_HIT,
            source_request_id=call.request_id,
        )
        if answer.HasField("fusion"):
            kept.fusion.CopyFrom(answer.fusion)
        if answer.HasField("confidence"):
            kept.confidence = answer.confidence
        stored, maker = kept.SerializeToString(), _requester(call.tenant, call.request_id)
        self._put(key, stored, maker, self._policy.ttl_seconds)
        if self._shared:
            self._shared.keep(key, stored, self._policy.ttl_seconds)
            self._shared.note(key, maker, self._policy.ttl_seconds)

    def note(self, key: bytes, call: Call) -> None:
        """Remember that a request got the answer under a key, so that it can be forgotten by its identifier."""
        who = _requester(call.tenant, call.request_id)
        self._served.append((who, key))
        if self._shared:
            self._shared.note(key, who, self._policy.ttl_seconds)

    async def forget(self, request_id: str, call: Call) -> bool:
        """Remove what a request of the caller's tenant made or got; return whether there was something.

        Raises:
            BackendUnavailable: it is gone from memory, but the shared level does not answer.
        """
        who = _requester(call.tenant, request_id)
        keys = {key for key, entry in self._entries.items() if entry.maker == who}
        keys.update(key for served, key in self._served if served == who)
        found = [self._entries.pop(key, None) for key in keys]
        self._served = deque((pair for pair in self._served if pair[1] not in keys), REMEMBERED)
        gone = self._shared is not None and await self._shared.forget(keys, who, call)
        return gone or any(found)

    def _put(self, key: bytes, stored: bytes, maker: bytes, seconds: float) -> None:
        self._entries[key] = _Entry(stored, maker, now() + min(seconds, self._local_seconds))
        self._entries.move_to_end(key)
        if len(self._entries) > self._policy.entries:
            self._entries.popitem(last=False)

    def _may_keep(self, answer: types_pb2.Answer) -> bool:
        return (
            answer.finish_reason == types_pb2.FINISH_REASON_STOP
            and not answer.degradations
            # Every answer that a person has to look at is a case of its own.
            and not answer.HasField("review")
            and all(
                attempt.sampling.temperature <= self._hottest
                for attempt in answer.plan.attempts
                if attempt.purpose != types_pb2.ATTEMPT_PURPOSE_SAMPLE
            )
        )


def _requester(tenant: str, request_id: str) -> bytes:
    """Return what stands for a request in both levels: identifiers are only unique within a tenant."""
    return _digest(tenant.encode(), request_id.encode())


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
