"""Would catch: wrong ones let in, a certificate that waits for a restart, a broken one that is taken.

Authorities, certificates, servers and handshakes are real; the bytes of an old TLS come from Python's own ssl.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tandem.cli.app import app
from tandem.client import Client
from tandem.embedded.system import wait_healthy
from tandem.errors import BackendUnavailable
from tandem.serving import lasting_channel
from tandem.serving.clients import open_channel
from tandem.serving.server import LIVE, Listen, Server
from tandem.serving.tls import FollowedTls, Tls, TlsUnusable, server_credentials
from tandem.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from tests.fakes.calls import question
from tests.fakes.certificates import YESTERDAY, Authority, pair, replace, shown
from tests.fakes.listening import ORCHESTRATOR, RULE
from tests.fakes.servicer import BareServicer

SOON = 15.0


class Noting(BareServicer):
    """Notes who asks, by the serial number and the names of the certificate."""

    def __init__(self) -> None:
        self.clients: list[str] = []
        self.release = asyncio.Event()
        self.release.set()

    async def Generate(
        self, request: orchestrator_pb2.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> orchestrator_pb2.GenerateResponse:
        await self.release.wait()
        shown = context.auth_context().get("x509_pem_cert", [b""])
        self.clients.append(b"".join(shown).decode())
        return orchestrator_pb2.GenerateResponse()

    async def ForgetAnswer(
        self, request: orchestrator_pb2.ForgetAnswerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> orchestrator_pb2.ForgetAnswerResponse:
        return orchestrator_pb2.ForgetAnswerResponse(forgotten=True)


@contextlib.asynccontextmanager
async def serving(tls: Tls, servicer: Noting | None = None) -> AsyncIterator[str]:
    """Serve over TLS and give the address."""
    server = Server(Listen("127.0.0.1:0", 1.0, tls), RULE, [ORCHESTRATOR])
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer or Noting(), server.grpc)
    await server.start()
    server.set_health({"": True})
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.drain()


async def ask(address: str, tls: Tls | None) -> None:
    """Ask on a connection of its own."""
    async with Client(address, tls=tls) as client:
        await client.ask("why?", deadline_seconds=SOON)


async def refused(address: str, tls: Tls | None) -> bool:
    try:
        await ask(address, tls)
    except BackendUnavailable:
        return True
    return False


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "theirs")


# --- who gets in


async def test_a_server_is_known_by_its_certificate(authority: Authority, stranger: Authority) -> None:
    server = authority.issue("server")
    async with serving(Tls(None, *pair(server))) as address:
        assert not await refused(address, Tls(authority.file))
        assert await refused(address, None), "plaintext"
        assert await refused(address, Tls(stranger.file))
        assert await refused(address, Tls(authority.file, server_name="elsewhere.example"))


async def test_the_name_of_a_server_may_differ_from_its_address(authority: Authority) -> None:
    server = authority.issue("server", "tandem-classifier")
    async with serving(Tls(None, *pair(server))) as address:
        assert await refused(address, Tls(authority.file))
        assert not await refused(address, Tls(authority.file, server_name="tandem-classifier"))


async def test_a_client_must_show_a_certificate(authority: Authority, stranger: Authority) -> None:
    async with serving(authority.issue("server")) as address:
        assert not await refused(address, authority.issue("client", "client"))
        assert await refused(address, Tls(authority.file)), "no certificate"
        assert await refused(address, stranger.issue("client", "client", ca=authority.file))
        assert await refused(address, authority.issue("old", "client", expires=YESTERDAY))


async def test_an_expired_server_is_refused(authority: Authority) -> None:
    async with serving(authority.issue("server", expires=YESTERDAY)) as address:
        assert await refused(address, authority.issue("client", "client"))


@pytest.mark.parametrize(("newest", "spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_nothing_older_than_tls_1_2_is_spoken(newest: str, spoken: bool, authority: Authority) -> None:
    server = authority.issue("server")
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_ciphers("ALL:@SECLEVEL=0")  # else this side would refuse before the server does
    context.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion[newest]
    async with serving(Tls(None, *pair(server))) as address:
        host, _, port = address.partition(":")
        with contextlib.nullcontext() if spoken else pytest.raises((ssl.SSLError, ConnectionError)):
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.close()


async def test_health_is_told_without_tls_on_a_port_of_its_own_and_nothing_else(authority: Authority) -> None:
    server = Server(
        Listen("127.0.0.1:0", 1.0, authority.issue("server"), "127.0.0.1:0"), RULE, [ORCHESTRATOR]
    )
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(Noting(), server.grpc)
    await server.start()
    server.set_health({"": True})
    address = f"127.0.0.1:{server.health_port}"
    assert await wait_healthy(address, ("", ORCHESTRATOR), 0.2) is False
    assert await wait_healthy(address, ("", LIVE), 5)
    async with open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await orchestrator_pb2_grpc.OrchestratorServiceStub(channel).Generate(question(), timeout=SOON)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await server.drain()
    assert await wait_healthy(address, (LIVE,), 0.2) is False


# --- renewal


async def test_a_renewed_certificate_is_served_and_no_request_fails(
    authority: Authority, stranger: Authority
) -> None:
    """The server's new certificate comes from another authority, so that who gets in tells which one is served."""
    servicer, both = Noting(), authority.file.with_name("both.pem")
    both.write_bytes(authority.pem + stranger.pem)
    server = authority.issue("server", ca=both)
    async with serving(server, servicer) as address:
        client = authority.issue("client", "client", ca=both)
        over, asked = asyncio.Event(), 0

        async def asking(fresh: bool) -> None:
            nonlocal asked
            async with Client(address, tls=client) as lasting:
                while not over.is_set():
                    await (ask(address, client) if fresh else lasting.ask("why?", deadline_seconds=SOON))
                    asked += 1

        running = [asyncio.create_task(asking(fresh)) for fresh in (True, False)]
        await asyncio.sleep(0.1)
        assert await refused(address, Tls(stranger.file, client.certificate, client.key))
        (new_certificate, new_key), (certificate, key) = pair(stranger.issue("server")), pair(server)
        replace(key, new_key.read_bytes())
        await ask(address, client)  # the pair does not fit at this moment
        replace(certificate, new_certificate.read_bytes())
        await ask(address, client)
        assert await refused(address, Tls(authority.file, client.certificate, client.key))
        renewed = asked
        while asked < renewed + 4:
            await asyncio.sleep(0.02)
        over.set()
        await asyncio.gather(*running)
    assert len(servicer.clients) == asked + 2


async def test_a_broken_file_leaves_the_certificate_of_before(authority: Authority) -> None:
    server = authority.issue("server")
    async with serving(server) as address:
        client = authority.issue("client", "client")
        with capture_logs() as logs:
            replace(pair(server)[0], b"-----BEGIN CERTIFICATE-----\nnonsense\n")
            await ask(address, client)
            await ask(address, client)
            authority.issue("server")
            await ask(address, client)
    said = [line["event"] for line in logs if line.get("component") == "tls"]
    assert said.count("certificates refused; those of before stay") >= 1
    assert said[-1] == "certificates read again"


async def test_a_client_takes_its_new_certificate_and_no_request_fails(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_channel, "POLL_SECONDS", 0.02)
    servicer = Noting()
    async with serving(authority.issue("server"), servicer) as address:
        own = authority.issue("client", "client")
        first = shown(own)
        async with Client(address, tls=own) as client:
            await client.ask("why?", deadline_seconds=SOON)
            servicer.release.clear()
            slow = asyncio.create_task(client.ask("why?", deadline_seconds=2 * SOON))
            await asyncio.sleep(0.05)
            authority.issue("client", "client")
            second = shown(own)
            await asyncio.sleep(0.5)
            servicer.release.set()
            async with asyncio.timeout(SOON):
                await slow
                while not second.startswith(servicer.clients[-1]):
                    await client.ask("why?", deadline_seconds=SOON)
    assert len(set(servicer.clients)) == 2
    assert first.startswith(servicer.clients[1]), "a call that runs stays where it is"


async def test_a_client_whose_new_certificate_is_refused_goes_on_with_the_old_one(
    authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_channel, "POLL_SECONDS", 0.02)
    async with serving(authority.issue("server")) as address:
        own = authority.issue("client", "client")
        async with Client(address, tls=own) as client:
            await client.ask("why?", deadline_seconds=SOON)
            wrong = stranger.issue("client", "client")
            for old, new in zip(pair(own), pair(wrong), strict=True):
                replace(old, new.read_bytes())
            await asyncio.sleep(0.3)
            await client.ask("why?", deadline_seconds=SOON)


# --- files that are of no use


def _other_key(tls: Tls, authority: Authority) -> Tls:
    return Tls(tls.ca, tls.certificate, authority.issue("other").key)


def _no_ca(tls: Tls, authority: Authority) -> Tls:
    empty = authority.file.with_name("empty.pem")
    empty.touch()
    return Tls(empty, tls.certificate, tls.key)


def _missing(tls: Tls, authority: Authority) -> Tls:
    return Tls(tls.ca, Path("/nowhere"), tls.key)


def _swapped(tls: Tls, authority: Authority) -> Tls:
    return Tls(tls.ca, tls.key, tls.certificate)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (_other_key, "are not a certificate in PEM and its key"),
        (_no_ca, "holds no certificate in PEM"),
        (_missing, "/nowhere: it cannot be read: No such file"),
        (_swapped, "are not a certificate in PEM and its key"),
    ],
)
def test_files_of_no_use_are_refused_at_the_start(spoilt: Any, said: str, authority: Authority) -> None:
    tls = authority.issue("server")
    FollowedTls(tls)
    with pytest.raises(TlsUnusable, match=said):
        server_credentials(spoilt(tls, authority))


def test_half_of_the_settings_are_refused(authority: Authority) -> None:
    tls = authority.issue("server")
    with pytest.raises(TlsUnusable, match="name both files, or neither"):
        Tls(tls.ca, tls.certificate)
    with pytest.raises(TlsUnusable, match="needs one itself"):
        server_credentials(Tls(tls.ca))


# --- the command line


async def told(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run `tandem` in a thread; return its exit status and what it said."""
    result = await asyncio.to_thread(CliRunner().invoke, app, command, env=environment or {})
    return result.exit_code, result.output


async def test_commands_speak_tls(authority: Authority) -> None:
    async with serving(authority.issue("server")) as address:
        own = authority.issue("client", "client")
        options = [
            "--target",
            address,
            "--ca",
            str(own.ca),
            "--cert",
            str(own.certificate),
            "--key",
            str(own.key),
        ]
        environment = {
            "TANDEM_CA": str(own.ca),
            "TANDEM_CERT": str(own.certificate),
            "TANDEM_KEY": str(own.key),
        }
        assert await told(["wait", "--seconds", "5", *options]) == (0, "")
        assert (await told(["forget", "one", *options]))[0] == 0
        assert (await told(["forget", "one", "--target", address], environment))[0] == 0
        assert (await told(["forget", "one", *options, "--server-name", "elsewhere"]))[0] == 1
        assert (await told(["wait", "--seconds", "0.3", "--target", address]))[0] == 1


async def test_files_of_no_use_are_wrong_usage(authority: Authority) -> None:
    own = authority.issue("client", "client")
    status, said = await told(["ask", "why?", "--cert", str(own.certificate)])
    assert (status, "name both files, or neither" in " ".join(said.split())) == (2, True)
    status, said = await told(["wait", "--ca", str(own.key)])
    assert (status, "holds no certificate" in " ".join(said.split()).replace("│ ", "")) == (2, True)
