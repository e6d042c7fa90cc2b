"""Certificates for tests: an authority, and files in the form that Tandem reads."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import trustme

from tandem.serving.tls import Tls

YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


class Authority:
    """Issues certificates, and writes them into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._made = trustme.CA()
        self.file = folder / "ca.pem"
        self.pem = self._made.cert_pem.bytes()
        self.file.write_bytes(self.pem)

    def issue(
        self, name: str, *hosts: str, ca: Path | None = None, expires: dt.datetime | None = None
    ) -> Tls:
        """Write a certificate for `hosts` and its key, in place of an earlier one of this name.

        What it gives trusts `ca`, by default this authority.
        """
        made = self._made.issue_cert(*(hosts or ("127.0.0.1", "localhost")), not_after=expires)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        replace(key, made.private_key_pem.bytes())
        replace(certificate, b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return Tls(ca or self.file, certificate, key)


def pair(tls: Tls) -> tuple[Path, Path]:
    """Return the files of certificate and key."""
    assert tls.certificate is not None
    assert tls.key is not None
    return tls.certificate, tls.key


def shown(tls: Tls) -> str:
    """Return the chain of certificates that this side shows now."""
    return pair(tls)[0].read_text()


def replace(file: Path, content: bytes) -> None:
    """Write a file in one step, as those do who know that it is followed."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)  # noqa: PTH105 - one call, in place of what is there
