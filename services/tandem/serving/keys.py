"""API keys: how one is made, and the two places that name the tenant of each, both by hashes alone.

A key has 256 random bits, so nobody finds one by trying, and its plain SHA-256 says nothing about it. Salt and
many rounds slow down the guessing of passwords that people choose; here they would only slow down every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError, field_validator

from tandem.call import NAME
from tandem.yaml_document import Complaint, Document, Section, load

PREFIX: Final = "tdm_"
"""Begins every key, so that people and secret scanners know one when they see it."""

Keys = Mapping[str, str]
"""The tenant of each key by the key's hash."""


def new_key() -> str:
    """Return a new key."""
    return f"{PREFIX}{secrets.token_hex(32)}"


def digest(key: str) -> str:
    """Return the SHA-256 of a key as hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def _hash(text: str) -> str:
    """Refuse what is no hash without repeating it: it may well be a part of a key."""
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(
            "must be 64 digits of 0-9 and a-f, the SHA-256 of a key; `tandem keys new` prints it"
        )
    return text


Hash = Annotated[str, AfterValidator(_hash)]
Tenant = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]


class KeyEntry(Section):
    """One key."""

    tenant: Tenant
    """On whose behalf whoever has the key asks; 1 to 64 characters of `A-Za-z0-9._-`."""
    sha256: Hash
    """SHA-256 of the key, 64 hexadecimal digits in lower case."""
    name: str | None = Field(default=None, min_length=1, max_length=64)
    """What the key is for, for people, 1 to 64 characters. Absent: nobody said."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_key(cls, value: object) -> object:
        """Refuse a key wherever it stands, before a message about something else repeats it."""
        if isinstance(value, str) and value.startswith(PREFIX):
            raise ValueError(
                "is an API key; only the hashes of keys belong here. Make another with `tandem keys new`, since this "
                "one was written down"
            )
        return value


class KeysDocument(Document):
    """The keys of a deployment."""

    version: Literal[1]
    """Version of this format: 1."""
    keys: tuple[KeyEntry, ...]
    """The keys, as many for a tenant as it needs. None at all: every request is refused."""

    @property
    def tenants(self) -> Keys:
        """The tenant of each key by the key's hash."""
        return {entry.sha256: entry.tenant for entry in self.keys}


def load_keys(path: Path, elsewhere: Mapping[str, str] = {}) -> KeysDocument:
    """Read a keys document; a key that is configured `elsewhere`, too, is a mistake.

    Raises `DocumentError` with everything that is wrong, and `OSError` if the file cannot be read.
    """
    return load(path, KeysDocument, lambda document: _repeated(document, elsewhere))


def _repeated(document: KeysDocument, elsewhere: Keys) -> Iterator[Complaint]:
    seen: dict[str, int] = {}
    for index, entry in enumerate(document.keys):
        first = seen.setdefault(entry.sha256, index)
        if first != index:
            message = f"is that of keys[{first}], too; a key stands for one tenant, remove one of the two"
            yield Complaint(("keys", index, "sha256"), message)
        elif entry.sha256 in elsewhere:
            message = "is configured in the environment, too; remove it there or here"
            yield Complaint(("keys", index, "sha256"), message)


_BY_TENANT: Final = TypeAdapter(dict[Tenant, Hash | tuple[Hash, ...]])


def parse_keys(text: str) -> Keys:
    """Read a JSON object of tenant → hash of its key, or list of the hashes of its keys.

    Raises `ValueError`, whose message repeats nothing of the text.
    """
    try:
        by_tenant = _BY_TENANT.validate_json(text)
    except ValidationError:
        raise ValueError(
            "must be a JSON object that gives each tenant the SHA-256 of its API key, 64 digits of 0-9 and a-f, or a "
            "list of such; what is there is not repeated here, since it may be a key"
        ) from None
    keys: dict[str, str] = {}
    for tenant, hashes in by_tenant.items():
        for sha256 in (hashes,) if isinstance(hashes, str) else hashes:
            if sha256 in keys:
                raise ValueError(
                    f"gives {tenant} a key that {keys[sha256]} has before; remove one of the two"
                )
            keys[sha256] = tenant
    return keys
