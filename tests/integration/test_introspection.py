"""Would catch a server that tools cannot look into: health, reflection, channelz, and `buf curl` without a schema."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.integration.asking import default_text, failure, sim
from tests.system import Tandem

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVICE = "tandem.v1.OrchestratorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
BUF = Path(sys.executable).with_name("buf")


@pytest.mark.parametrize("name", ["", SERVICE, "r1", "pro"])
async def test_health_can_be_asked_for(channel: grpc.aio.Channel, name: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)

    response = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)

    assert response.status == SERVING


async def test_the_health_of_an_unknown_service_is_not_found(channel: Any) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)

    failed = await failure(stub.Check(health_pb2.HealthCheckRequest(service="gpt"), timeout=5))

    assert failed.code == grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services_and_gives_their_files(channel: Any) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]

    responses = [response async for response in stub.ServerReflectionInfo(iter(questions), timeout=5)]

    listed = {service.name for service in responses[0].list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= listed
    assert responses[1].file_descriptor_response.file_descriptor_proto


async def test_channelz_counts_calls(channel: Any) -> None:
    stub: Any = channelz_pb2_grpc.ChannelzStub(channel)

    response = await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=5)

    assert any(server.data.calls_started > 0 for server in response.server)


async def test_buf_curl_streams_an_answer_by_reflection(system: Tandem) -> None:
    request = {
        "request": {
            "messages": [{"role": "ROLE_USER", "parts": [{"text": f"Hi! {sim(tokens=6)}"}]}],
            "tier": "r1",
            "noCache": True,
        }
    }
    process = await asyncio.create_subprocess_exec(
        BUF,
        *("curl", "--protocol", "grpc", "--data", json.dumps(request)),
        f"http://{system.address}/{SERVICE}/StreamGenerate",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0, err
    decoder, text, events = json.JSONDecoder(), out.decode().strip(), []
    while text:
        event, end = decoder.raw_decode(text)
        events.append(event)
        text = text[end:].lstrip()
    assert "started" in events[0]
    assert "finished" in events[-1]
    assert "".join(event["text"]["delta"] for event in events if "text" in event) == default_text(6)
