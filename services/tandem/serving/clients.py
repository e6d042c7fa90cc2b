"""The services as seen from another process: each class satisfies the protocol of its service over gRPC."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final

import grpc.aio

from tandem.call import Call
from tandem.errors import DeadlineExceeded
from tandem.serving.addresses import addresses_of
from tandem.serving.context import write_metadata
from tandem.serving.lasting_channel import LastingChannel
from tandem.serving.server import LIVE, MAX_MESSAGE_BYTES
from tandem.serving.status import from_rpc_error
from tandem.serving.tls import FollowedTls, Tls, client_credentials
from tandem.v1 import (
    classifier_pb2,
    classifier_pb2_grpc,
    fusion_pb2,
    fusion_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
)

HOP_SECONDS: Final = 0.002
"""What one hop keeps for itself, so that the callee's typed error arrives before the caller's own deadline."""


class Callee(Enum):
    """Who is called decides what gRPC does by itself; all calls are spread over all addresses of the target.

    A service of Tandem is asked for its health, so that one that drains gets no more calls. What it fails at is not
    tried again here: attempts are repeated by the orchestrator, which has a budget for it and books each of them. An
    orchestrator is not asked: behind a proxy it would be one of many, and its end be taken for that of all.
    """

    FRONT = "front"
    """An orchestrator, perhaps behind a proxy: a call that was never sent is sent again on another connection."""
    SERVICE = "service"
    """Replicas of a service of Tandem, or of orchestrators with no proxy before them."""
    PURE = "pure"
    """A service of Tandem whose calls change nothing and cost nothing: a failed one is tried again elsewhere."""
    FOREIGN = "foreign"
    """A server that has no health to watch: Triton."""


_RETRIES: Final = {
    "maxAttempts": 2,
    "initialBackoff": "0.005s",
    "maxBackoff": "0.005s",
    "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_CHECKED: Final = {"healthCheckConfig": {"serviceName": LIVE}}
_CONFIGS: Final[Mapping[Callee, Mapping[str, Any]]] = {
    Callee.FRONT: {},
    Callee.SERVICE: _CHECKED,
    Callee.PURE: {
        **_CHECKED,
        "methodConfig": [{"name": [{}], "retryPolicy": _RETRIES}],
        # Each failure takes one of ten tokens, ten good answers give one back; with five left nothing is retried.
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    },
    Callee.FOREIGN: {},
}
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name, the least time that connecting may take, handshakes of TCP, TLS and HTTP/2 together.
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A pod that goes is replaced by one of another address: do not wait half a minute to ask for it.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Its own connections: it must not inherit the failures of another channel to the same address.
    ("grpc.use_local_subchannel_pool", 1),
)
# By its name in the user agent a process is known to those whose health it watches, however many connections it has.
_NAMED: Final = (("grpc.primary_user_agent", f"tandem/{secrets.token_hex(8)}"),)
# Nothing but what is named here: a call costs a tenth less without the rest, such as compression and retries.
_LEAN: Final = (("grpc.minimal_stack", 1), ("grpc.enable_deadline_checking", 1))


def open_channel(target: str, tls: Tls | None = None, callee: Callee = Callee.SERVICE) -> LastingChannel:
    """Open a channel that connects at once, spreads calls over all addresses of `target` and reconnects quickly.

    Args:
        target: the address, as gRPC names targets.
        tls: how to speak TLS; None: in plaintext.
        callee: what answers there.

    Raises:
        TlsUnusable: the files of TLS are of no use.
    """
    config = {"loadBalancingConfig": [{"round_robin": {}}], **_CONFIGS[callee]}
    options: list[tuple[str, Any]] = [*_OPTIONS, ("grpc.service_config", json.dumps(config))]
    if callee in {Callee.SERVICE, Callee.FOREIGN}:
        options += _LEAN
    if callee is Callee.SERVICE:
        options += _NAMED
    # A client's target may be a balancer's name, which gives some of many addresses, others each time.
    followed_target = () if callee is Callee.FRONT else (partial(addresses_of, target),)
    if tls is None:
        return LastingChannel(
            lambda: _connecting(grpc.aio.insecure_channel(target, options)), lambda: False, *followed_target
        )
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    followed = FollowedTls(tls)

    def open_secure() -> grpc.aio.Channel:
        return _connecting(grpc.aio.secure_channel(target, client_credentials(followed.material), options))

    return LastingChannel(open_secure, lambda: followed.renewed() is not None, *followed_target)


def _connecting(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    channel.get_state(try_to_connect=True)
    return channel


def _options(call: Call) -> dict[str, Any]:
    """Return deadline and metadata of an outgoing call.

    Raises:
        DeadlineExceeded: no time is left.
    """
    timeout = call.remaining() - HOP_SECONDS
    if timeout <= 0:
        raise DeadlineExceeded("the deadline passed before the next service was called; grant more time")
    return {"timeout": timeout, "metadata": write_metadata(call)}


class GrpcClassifier:
    """`tandem.protocols.Classifier` over gRPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = classifier_pb2_grpc.ClassifierServiceStub(channel)

    async def classify(
        self, request: classifier_pb2.ClassifyRequest, call: Call
    ) -> classifier_pb2.ClassifyResponse:
        """Find the signals of a conversation."""
        try:
            return await self._stub.Classify(request, **_options(call))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "classifier") from error


class GrpcFusion:
    """`tandem.protocols.Fusion` over gRPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = fusion_pb2_grpc.FusionServiceStub(channel)

    async def fuse(self, request: fusion_pb2.FuseRequest, call: Call) -> fusion_pb2.FuseResponse:
        """Choose by weighted vote."""
        try:
            return await self._stub.Fuse(request, **_options(call))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "fusion") from error


def _let_end(_: object) -> None:
    """Hold a call until it has ended."""


class GrpcInference:
    """`tandem.protocols.Inference` over gRPC."""

    def __init__(self, channel: grpc.aio.Channel, tier: str) -> None:
        self._stub = inference_pb2_grpc.InferenceServiceStub(channel)
        self._peer = f"{tier}-inference"

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message."""
        try:
            return await self._stub.Infer(request, **_options(call))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._peer) from error

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[inference_pb2.StreamInferResponse, None]:
        """Answer piece by piece; the last message alone has `finished`."""
        wanted = inference_pb2.StreamInferRequest(request=request, buffered=buffered)
        rpc = self._stub.StreamInfer(wanted, **_options(call))
        finished = False
        try:
            async for message in rpc:
                finished = message.HasField("finished")
                yield message
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._peer) from error
        finally:
            if finished:
                # Its status is under way. Cancelled now, or collected, it would be told as one whose client left.
                rpc.add_done_callback(_let_end)
            else:
                rpc.cancel()

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what an attempt of the call's request took after all."""
        try:
            return await self._stub.SettleUsage(request, **_options(call))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._peer) from error

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Tell the variants and which of them are ready."""
        try:
            return await self._stub.GetCapabilities(inference_pb2.GetCapabilitiesRequest(), **_options(call))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._peer) from error
