"""TLS by files: certificates that are read again when they change, while servers and clients go on."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from tandem.followed_file import FollowedFile
from tandem.telemetry.logs import logger

_log = logger("tls")


class TlsUnusable(Exception):
    """The files of TLS are of no use."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What one side of a connection shows and wants to see, by files in PEM.

    `ca` has the authorities that the other side's certificate must come from; None: a client takes those that gRPC
    brings along, a server asks for no certificate. `certificate`, a chain, and its `key` are what this side shows.
    `server_name` is for clients: the name that the server's certificate must have; empty: the host of the target.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise TlsUnusable("TLS wants a certificate and its key: name both files, or neither")

    def named(self) -> list[Path]:
        """Return the files that are named."""
        return [file for file in (self.ca, self.certificate, self.key) if file is not None]


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """What the files hold."""

    ca: bytes | None
    certificate: bytes | None
    key: bytes | None

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """Key and certificate, of a side that has them."""
        assert self.key is not None  # noqa: S101 - a server without a certificate is not made
        assert self.certificate is not None  # noqa: S101
        return self.key, self.certificate


class FollowedTls:
    """What the files hold now; files that are of no use leave what was before in place.

    Raises:
        TlsUnusable: the files are of no use at the start.
    """

    def __init__(self, files: Tls) -> None:
        self._files = files
        self._followed = [FollowedFile(file) for file in files.named()]
        self.material = _read(files)

    def renewed(self) -> Material | None:
        """Return what the files hold if it is new since the last look, and of use."""
        changes = [followed.changed() for followed in self._followed]
        if not any(changes):
            return None
        try:
            found = _read(self._files)
        except TlsUnusable as error:
            _log.error("certificates refused; those of before stay", why=str(error))
            return None
        if found == self.material:
            return None
        self.material = found
        _log.info("certificates read again", files=[str(file) for file in self._files.named()])
        return found


def server_credentials(files: Tls) -> grpc.ServerCredentials:
    """Return credentials that look at the files at every handshake. Nothing below TLS 1.2 is spoken.

    Raises:
        TlsUnusable: the files are of no use, or name no certificate.
    """
    if files.certificate is None:
        raise TlsUnusable("a server that asks clients for certificates needs one itself: name it and its key")
    followed = FollowedTls(files)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        material = followed.renewed()
        return None if material is None else _configuration(material)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(followed.material),
        renewed,  # type: ignore[arg-type]  # the published stubs lack that None means no change
        require_client_authentication=files.ca is not None,
    )


def client_credentials(material: Material) -> grpc.ChannelCredentials:
    """Return the credentials of a client. Nothing below TLS 1.2 is spoken."""
    return grpc.ssl_channel_credentials(material.ca, material.key, material.certificate)


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([material.pair], root_certificates=material.ca)


def _read(files: Tls) -> Material:
    """Return what the files hold, each fit for its purpose and key and certificate for each other.

    gRPC itself would take what is broken, and fail at the next handshake.
    """
    before = _material(files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password="")
        except (OSError, ValueError) as error:
            raise TlsUnusable(
                f"{files.certificate} and {files.key} are not a certificate in PEM and its key without a password: "
                f"{error}"
            ) from error
    if files.ca is not None:
        try:
            context.load_verify_locations(files.ca)
        except (OSError, ValueError) as error:
            raise TlsUnusable(f"{files.ca} holds no certificate in PEM: {error}") from error
    if _material(files) != before:
        raise TlsUnusable("the files are being written; they are read again when that is over")
    return before


def _material(files: Tls) -> Material:
    try:
        return Material(_bytes(files.ca), _bytes(files.certificate), _bytes(files.key))
    except OSError as error:
        raise TlsUnusable(f"{error.filename}: it cannot be read: {error.strerror}") from error


def _bytes(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
