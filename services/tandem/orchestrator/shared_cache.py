"""The cache level that replicas share: Valkey or Redis.

A server that is away costs one bounded wait: after a failure it is left alone and looked for in the background until
it answers again. Writing happens in the background only.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
import time
from collections import deque
from collections.abc import Iterable
from typing import Final, Self, TypeAlias

from google.protobuf.message import DecodeError
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from tandem.call import Call
from tandem.clock import now
from tandem.errors import BackendUnavailable
from tandem.telemetry.logs import logger
from tandem.v1 import types_pb2

READ_SECONDS: Final = 0.02
"""Longest wait for an answer on the way of a request."""
LEAST_LEFT_SECONDS: Final = 0.2
"""A request with less time left does without the level."""
READS: Final = 32
"""Most reads at a time."""

WRITE_SECONDS: Final = 1.0
"""Longest time for writing a batch, and for forgetting."""
QUEUED: Final = 512
"""Most writes that wait; what comes on top is dropped."""
BATCH: Final = 64
"""Most writes that travel together."""

PROBE_SECONDS: Final = 1.0
"""Longest wait for a sign of life."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 10.0
"""Pause between two looks; it doubles from the first value to the longest."""
HEALTHY_SECONDS: Final = 10.0
"""A server that answered for so long is looked for at once; one that comes and goes keeps its pause."""

PREFIX: Final = b"tandem:v1:"
"""What every key in the server begins with."""

_CHECK_BYTES: Final = 16
_EXPIRES: Final = struct.Struct("<d")
_Command: TypeAlias = tuple[str | bytes | int, ...]

_log = logger("shared-cache")


def open_pool(url: str) -> ConnectionPool:
    """Return connections to the server of a URL; nothing is sent yet.

    Raises:
        ValueError: the URL cannot be used. The message does not repeat it: it may hold a password.
    """
    try:
        pool = ConnectionPool.from_url(
            url,
            max_connections=READS + 4,
            # Calls are bounded here; the library's way, asyncio.wait_for, loses cancellations before 3.12.
            socket_timeout=None,
            socket_connect_timeout=PROBE_SECONDS,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # the library lacks it
    except Exception:  # noqa: BLE001 - whatever the library says repeats parts of the URL
        raise ValueError(
            "must be redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix://PATH, with user and password as "
            "redis://USER:PASSWORD@HOST:PORT/DB; write special characters of a password as %XX"
        ) from None
    return pool


class SharedCache:
    """`tandem.orchestrator.cache.SharedLevel` in Valkey or Redis; an async context manager.

    Args:
        url: where the server is; may hold a password.
    """

    def __init__(self, url: str) -> None:
        self._pool = open_pool(url)
        self._redis = Redis(connection_pool=self._pool)
        self._reading = asyncio.Semaphore(READS)
        self._writing = asyncio.Lock()
        self._queue: deque[tuple[bytes, _Command]] = deque()
        self._queued = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refused: set[str] = set()
        self._up_since = 0.0
        self._pause = 0.0
        self._reported: bool | None = None
        self.up: bool = False
        """True while the server is used."""

    async def __aenter__(self) -> Self:
        self._tasks = {
            "probe": asyncio.create_task(self._probe()),
            "write": asyncio.create_task(self._write()),
        }
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._pool.disconnect()

    async def find(self, key: bytes, call: Call) -> tuple[bytes, float] | None:
        """Return an answer and the seconds it has left; None: there is none, or it did not come in time."""
        if not self.up or call.remaining() < LEAST_LEFT_SECONDS:
            return None
        try:
            async with asyncio.timeout(READ_SECONDS), self._reading:
                value = await self._redis.get(_answer_name(key))
        except ResponseError as error:
            self._report_refusal("read", error)
            return None
        except Exception as error:  # noqa: BLE001 - no defect of a cache may cost a request its answer
            self._lose(error)
            return None
        return unseal(key, value)

    def keep(self, key: bytes, answer: bytes, seconds: float) -> None:
        """Keep an answer for some time, written in the background."""
        self._enqueue(
            key, ("SET", _answer_name(key), seal(key, answer, seconds), "PX", _milliseconds(seconds))
        )

    def note(self, key: bytes, who: bytes, seconds: float) -> None:
        """Remember for some time that a request got the answer under a key, written in the background."""
        self._enqueue(
            key, ("SADD", _request_name(who), key), ("PEXPIRE", _request_name(who), _milliseconds(seconds))
        )

    async def forget(self, keys: set[bytes], who: bytes, call: Call) -> bool:
        """Remove answers by their keys and by a request that got them; return whether there was one.

        Raises:
            BackendUnavailable: the server does not answer, or refuses.
        """
        if not self.up:
            raise _not_forgotten("does not answer")
        try:
            async with asyncio.timeout(min(WRITE_SECONDS, call.remaining())), self._writing:
                return await self._remove(keys, who)
        except ResponseError as error:
            raise _not_forgotten(f"refuses: {error}") from error
        except Exception as error:
            self._lose(error)
            raise _not_forgotten("does not answer") from error

    async def _remove(self, keys: set[bytes], who: bytes) -> bool:
        noted = await self._redis.smembers(_request_name(who))
        keys = keys | {key for key in noted if isinstance(key, bytes)}
        self._queue = deque(write for write in self._queue if write[0] not in keys)
        if not keys:
            return False
        removed = await self._redis.delete(*map(_answer_name, keys))
        await self._redis.delete(_request_name(who))
        return removed > 0

    def _enqueue(self, key: bytes, *commands: _Command) -> None:
        if self.up and len(self._queue) + len(commands) <= QUEUED:
            self._queue.extend((key, command) for command in commands)
            self._queued.set()

    async def _write(self) -> None:
        """Write what is queued, in order; runs until it is cancelled."""
        while True:
            await self._queued.wait()
            async with self._writing:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                if not self._queue:
                    self._queued.clear()
                if batch:
                    await self._send(command for _, command in batch)

    async def _send(self, commands: Iterable[_Command]) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                results = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - writing goes on with the next batch, whatever it was
            self._lose(error)
            return
        refusal = next((result for result in results if isinstance(result, Exception)), None)
        if refusal is None:
            self._refused.discard("write")
        else:
            self._report_refusal("write", refusal)

    def _lose(self, error: Exception) -> None:
        """Leave the server alone until a probe finds it."""
        if not self.up:
            return
        self.up = False
        self._queue.clear()
        self._report(up=False, why=_reason(error))
        if now() - self._up_since >= HEALTHY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._tasks["probe"] = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Look for the server until it answers."""
        while True:
            await asyncio.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311 - spreads replicas, no secret
            self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._pause))
            problem = await self._problem()
            self._report(up=not problem, why=problem)
            if not problem:
                break
        self.up, self._up_since = True, now()

    async def _problem(self) -> str:
        """Return what is wrong with the server; nothing: it answers, and as fast as a request needs it."""
        try:
            # The first look may have to connect, and the connection stays for those who come next.
            for seconds in (PROBE_SECONDS, READ_SECONDS):
                async with asyncio.timeout(seconds):
                    await self._redis.get(PREFIX + b"probe")
        except ResponseError:
            return ""  # which is an answer, too
        except Exception as error:  # noqa: BLE001 - it is looked for again, whatever it was
            return _reason(error)
        return ""

    def _report(self, *, up: bool, why: str) -> None:
        """Log once that the server has come or gone."""
        if up == self._reported:
            return
        self._reported = up
        if up:
            _log.info("the shared cache answers")
        else:
            _log.warning("the shared cache does not answer; going on without it", why=why)

    def _report_refusal(self, what: str, error: Exception) -> None:
        """Log once that the server answers with an error, until a write succeeds."""
        if what not in self._refused:
            self._refused.add(what)
            _log.warning(f"the shared cache refuses to {what}", why=_reason(error))


def seal(key: bytes, answer: bytes, seconds: float) -> bytes:
    """Return an answer as it is stored: bound to its key, with the time at which it expires."""
    body = _EXPIRES.pack(time.time() + seconds) + answer
    return _check(key, body) + body


def unseal(key: bytes, value: bytes | str | None) -> tuple[bytes, float] | None:
    """Return an answer and the seconds it has left; None if it is gone or is not what `seal` made for this key."""
    if not isinstance(value, bytes) or value[:_CHECK_BYTES] != _check(key, value[_CHECK_BYTES:]):
        return None
    (expires,) = _EXPIRES.unpack_from(value, _CHECK_BYTES)
    answer, seconds = value[_CHECK_BYTES + _EXPIRES.size :], expires - time.time()
    return (answer, seconds) if seconds > 0 and _readable(answer) else None


def _readable(answer: bytes) -> bool:
    try:
        return bool(types_pb2.Answer.FromString(answer).source_request_id)
    except DecodeError:
        return False


def _check(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, key=key).digest()


def _answer_name(key: bytes) -> bytes:
    return PREFIX + b"answer:" + key.hex().encode()


def _request_name(who: bytes) -> bytes:
    return PREFIX + b"request:" + who.hex().encode()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _reason(error: Exception) -> str:
    return str(error) or ("it was late" if isinstance(error, TimeoutError) else type(error).__name__)


def _not_forgotten(why: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"the answer is gone from this replica's memory, but the shared cache {why}; ask again to remove it there"
    )
