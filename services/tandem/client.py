"""An async client for applications.

    async with Client("127.0.0.1:50051") as client:
        answer = await client.ask("What is the capital of France?", deadline_seconds=5)
        print(answer.text, answer.answered_by.tier)

        stream = client.stream("Why is the sky blue?")
        async for event in stream:
            print(event.text.delta, end="")
        print(stream.answer.cost_nano_usd)

Results are the messages of `protos/tandem/v1`; errors are the classes of `tandem.errors`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final, Self

import grpc.aio

from tandem.batch_items import Waiting
from tandem.clock import now
from tandem.errors import BackendUnavailable, Draining, InternalError, InvalidRequest
from tandem.serving.clients import Callee, open_channel
from tandem.serving.context import AUTHORIZATION, REQUEST_ID, TENANT
from tandem.serving.status import from_rpc_error
from tandem.serving.tls import Tls
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc, types_pb2

Conversation = str | Iterable[types_pb2.Message]
Request = orchestrator_pb2.GenerateRequest
Event = orchestrator_pb2.StreamGenerateResponse

BATCH_RETRIES: Final = 5
"""So often in a row a batch is taken up again without a single result, over 12 seconds."""


def user(text: str) -> types_pb2.Message:
    """Return a message of the user."""
    return types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=text)])


class Stream:
    """A streamed answer: iterate over its events, then read `answer`."""

    def __init__(self, rpc: grpc.aio.UnaryStreamCall[Any, Event]) -> None:
        self._rpc = rpc
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._answer: types_pb2.Answer | None = None

    @property
    def answer(self) -> types_pb2.Answer:
        """The whole answer, text and reasoning included.

        Raises:
            InternalError: the stream has not finished.
        """
        if self._answer is None:
            raise InternalError("the stream has not finished; iterate over all its events first")
        return self._answer

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Yield the events as they come; leaving the loop early cancels the request.

        Raises:
            TandemError: the request failed.
        """
        try:
            async for event in self._rpc:
                self._note(event)
                yield event
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "orchestrator") from error
        finally:
            self._rpc.cancel()

    def _note(self, event: Event) -> None:
        kind = event.WhichOneof("event")
        if kind == "text":
            self._text.append(event.text.delta)
        elif kind == "reasoning":
            self._reasoning.append(event.reasoning.delta)
        elif kind == "revision":
            self._text, self._reasoning = [event.revision.text], [event.revision.reasoning]
        elif kind == "finished":
            self._answer = event.finished.answer
            self._answer.text = "".join(self._text)
            self._answer.reasoning = "".join(self._reasoning)


class Client:
    """Talks to an orchestrator.

    Args:
        target: its address, as gRPC names targets.
        tenant: on whose behalf; None: the tenant of the API key, without one the anonymous tenant.
        api_key: what a deployment with API keys asks for; None: none is sent.
        tls: how to speak TLS; None: in plaintext. Its files are read again when they change.
        replicas: the target names the orchestrators themselves, as a headless Service does, and no proxy before them:
            each is asked for its health, so that one that drains gets no more requests.

    Raises:
        InvalidRequest: the API key has characters that no key has.
        TlsUnusable: the files of TLS are of no use.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        tenant: str | None = None,
        api_key: str | None = None,
        tls: Tls | None = None,
        *,
        replicas: bool = False,
    ) -> None:
        self._authorization = None if api_key is None else _bearer(api_key)
        self._channel = open_channel(target, tls, Callee.SERVICE if replicas else Callee.FRONT)
        self._stub = orchestrator_pb2_grpc.OrchestratorServiceStub(self._channel)
        self._tenant = tenant

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; running requests are cancelled."""
        await self._channel.close()

    async def ask(
        self,
        conversation: Conversation,
        *,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
        **options: Any,
    ) -> types_pb2.Answer:
        """Return the answer.

        Args:
            conversation: a question, or messages of which the last one is the user's.
            deadline_seconds: time the whole request may take; None: the policy's default.
            request_id: identifier to find the request by; None: one is made.
            options: further fields of `GenerateRequest`: sampling, tier, variant, strategy, no_cache, no_revisions.

        Raises:
            TandemError: the request failed.
        """
        try:
            response = await self._stub.Generate(
                _request(conversation, options), timeout=deadline_seconds, metadata=self._metadata(request_id)
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "orchestrator") from error
        return response.answer

    def stream(
        self,
        conversation: Conversation,
        *,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
        **options: Any,
    ) -> Stream:
        """Return the answer as a stream of events; arguments as for `ask`."""
        request = orchestrator_pb2.StreamGenerateRequest(request=_request(conversation, options))
        return Stream(
            self._stub.StreamGenerate(request, timeout=deadline_seconds, metadata=self._metadata(request_id))
        )

    async def explain(
        self, conversation: Conversation, *, deadline_seconds: float | None = None, **options: Any
    ) -> orchestrator_pb2.ExplainResponse:
        """Return the plan without running it; arguments and errors as for `ask`."""
        request = orchestrator_pb2.ExplainRequest(request=_request(conversation, options))
        try:
            return await self._stub.Explain(request, timeout=deadline_seconds, metadata=self._metadata(None))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "orchestrator") from error

    async def forget(self, request_id: str, *, deadline_seconds: float | None = None) -> bool:
        """Remove from the cache what a request of this tenant left there or got from there.

        Returns whether the cache held it.

        Raises:
            TandemError: the request failed.
        """
        request = orchestrator_pb2.ForgetAnswerRequest(request_id=request_id)
        try:
            response = await self._stub.ForgetAnswer(
                request, timeout=deadline_seconds, metadata=self._metadata(None)
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "orchestrator") from error
        return response.forgotten

    async def batch(
        self, requests: AsyncIterator[Request] | Iterable[Request], *, deadline_seconds: float | None = None
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        """Yield a result for each request as it finishes, with the position of the request as its index.

        When the connection is lost, or the orchestrator shuts down, the call is taken up again by whichever answers:
        what has been delivered is not asked for again.

        Raises:
            TandemError: the call as a whole failed.
            Exception: what `requests` raised.
        """
        waiting = Waiting(requests)
        end = None if deadline_seconds is None else now() + deadline_seconds
        try:
            async for result in self._batch_until(waiting, end):
                yield result
        finally:
            waiting.close()

    async def _batch_until(
        self, waiting: Waiting, end: float | None
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        """Make one call after the other until everything is delivered."""
        in_vain = 0
        while True:
            try:
                async with aclosing(self._batch(waiting, None if end is None else end - now())) as results:
                    async for result in results:
                        in_vain = 0
                        if waiting.delivered(result.index):
                            yield result
            except (BackendUnavailable, Draining, InternalError) as error:
                in_vain += 1
                # What was being written to a call that ended makes grpc.aio put an error of its own in place of its.
                own = isinstance(error, InternalError) and "request_id" in error.details.metadata
                if own or in_vain > BATCH_RETRIES or waiting.failure is not None:
                    raise
                await asyncio.sleep(0.2 * 2**in_vain)
            else:
                return

    async def _batch(
        self, waiting: Waiting, seconds: float | None
    ) -> AsyncGenerator[orchestrator_pb2.BatchGenerateResponse, None]:
        """Make one call with everything that was not delivered yet."""

        async def accepted() -> AsyncGenerator[orchestrator_pb2.BatchGenerateRequest, None]:
            # Written to a call that is refused, an item would hide from us why.
            if REQUEST_ID in dict(await rpc.initial_metadata()):
                async for item in waiting.items():
                    yield item

        rpc = self._stub.BatchGenerate(accepted(), timeout=seconds, metadata=self._metadata(None))
        try:
            async for result in rpc:
                yield result
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            if waiting.failure is not None:
                # gRPC cancels a call whose requests cannot be made.
                raise waiting.failure from None
            if isinstance(error, grpc.aio.AioRpcError):
                raise from_rpc_error(error, "orchestrator") from error
            raise
        finally:
            rpc.cancel()

    def _metadata(self, request_id: str | None) -> list[tuple[str, str]]:
        pairs = ((TENANT, self._tenant), (REQUEST_ID, request_id), (AUTHORIZATION, self._authorization))
        return [(key, value) for key, value in pairs if value is not None]


def _bearer(api_key: str) -> str:
    """Return the value of `authorization`. What gRPC would refuse is refused here, where no message repeats it."""
    if not (api_key.isascii() and api_key.isprintable() and api_key == api_key.strip() != ""):
        raise InvalidRequest(
            "the API key is empty or has spaces, line breaks or other characters that no key has; copy the key alone"
        )
    return f"Bearer {api_key}"


def _request(conversation: Conversation, options: Mapping[str, Any]) -> Request:
    messages = [user(conversation)] if isinstance(conversation, str) else list(conversation)
    return Request(messages=messages, **options)
