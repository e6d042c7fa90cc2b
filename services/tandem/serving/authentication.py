"""Who sends a request: the tenant of its API key. The keys file is read again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tandem.errors import UnknownApiKey
from tandem.followed_file import FollowedFile, refreshing
from tandem.serving.keys import Keys, digest, load_keys
from tandem.telemetry.logs import logger
from tandem.yaml_document import DocumentError, Problem

_log = logger("keys")


class Authenticator:
    """Knows the tenant of every API key.

    The hash of what a client sends is looked up in a dictionary. How long that takes may depend on the hash, but not
    in a way that helps to find a key: nobody can choose the hash that a guess will have.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        """The keys that count from now on; may be replaced at any time."""

    def tenant(self, authorization: str | None) -> str:
        """Return the tenant of the key in a value of `authorization`; None: the request has none.

        Raises:
            UnknownApiKey: it holds no key that is known. The message does not repeat it.
        """
        if authorization is None:
            raise UnknownApiKey(f"the request carries no API key; {_SEND}")
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise UnknownApiKey(f"the metadata authorization has another form than `Bearer KEY`; {_SEND}")
        tenant = self.keys.get(digest(key.strip()))
        if tenant is None:
            raise UnknownApiKey(
                "this deployment does not know the API key, or no longer; check that it was copied whole, or ask "
                "whoever runs the deployment for a new one"
            )
        return tenant


_SEND: Final = "send metadata `authorization: Bearer KEY` with a key from whoever runs this deployment"


@asynccontextmanager
async def authentication(file: Path | None, environment: Keys | None) -> AsyncIterator[Authenticator | None]:
    """Give the authenticator of a deployment and keep it current; None if no keys are configured.

    Raises:
        DocumentError: the file does not hold keys, or cannot be read.
    """
    if file is None:
        yield None if environment is None else Authenticator(environment)
        return
    source = KeysFile(file, environment or {})
    async with refreshing(source.refresh):
        yield source.authenticator


class KeysFile:
    """An authenticator that knows the keys of a file beside those of the environment.

    Raises:
        DocumentError: the file does not hold keys, or cannot be read.
    """

    def __init__(self, file: Path, environment: Keys) -> None:
        self._file = file
        self._environment = environment
        self._followed = FollowedFile(file)
        self.authenticator = Authenticator(self._read())

    async def refresh(self) -> None:
        """Read the file again if it has changed; if it is wrong, the keys of before go on to count."""
        if not self._followed.changed():
            return
        try:
            self.authenticator.keys = await asyncio.to_thread(self._read)
        except DocumentError as error:
            problems = [str(problem) for problem in error.problems]
            _log.error("keys refused; those of before still count", file=str(self._file), problems=problems)

    def _read(self) -> Keys:
        try:
            document = load_keys(self._file, self._environment)
        except OSError as error:
            raise DocumentError(
                self._file, [Problem(1, 1, "", f"cannot be read: {error.strerror}")]
            ) from None
        tenants = len({entry.tenant for entry in document.keys})
        _log.info("keys read", file=str(self._file), keys=len(document.keys), tenants=tenants)
        return {**self._environment, **document.tenants}
