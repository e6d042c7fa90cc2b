"""Would catch: a request let in without a key, a key in a message or a log, a change of the file that goes unseen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.clock import now
from tandem.errors import UnknownApiKey
from tandem.serving.authentication import Authenticator, KeysFile, authentication
from tandem.serving.keys import digest
from tandem.yaml_document import DocumentError

OLD, NEW = "tdm_old", "tdm_new"


def write(file: Path, **keys: str) -> None:
    """Replace the file, as `tandem keys new` and Kubernetes do."""
    lines = [f"  - {{tenant: {tenant}, sha256: {digest(key)}}}" for tenant, key in keys.items()]
    fresh = file.with_suffix(".new")
    fresh.write_text("\n".join(["version: 1", "keys:", *lines]))
    fresh.replace(file)


def spoil(file: Path, content: str | None) -> None:
    """Write something wrong into the file, or take it away."""
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "keys.yaml"
    write(found, shop=OLD)
    return found


# --- what a request carries


@pytest.mark.parametrize("value", ["Bearer sesame", "bearer sesame", "BEARER  sesame", " Bearer sesame "])
def test_a_known_key(value: str) -> None:
    assert Authenticator({digest("sesame"): "shop"}).tenant(value) == "shop"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "carries no API key"),
        ("", "another form"),
        ("sesame", "another form"),
        ("Basic sesame", "another form"),
        ("Bearer", "does not know"),
        ("Bearer ", "does not know"),
        ("Bearer Sesame", "does not know"),
        ("Bearer sesame sesame", "does not know"),
        (f"Bearer {digest('sesame')}", "does not know"),
    ],
)
def test_an_unknown_key(value: str | None, said: str) -> None:
    with pytest.raises(UnknownApiKey, match=said) as caught:
        Authenticator({digest("sesame"): "shop"}).tenant(value)
    assert "sesame" not in caught.value.message.lower()


@given(st.text(st.characters(codec="utf-8")))
def test_nothing_else_opens(value: str) -> None:
    with pytest.raises(UnknownApiKey):
        Authenticator({digest("sesame"): "shop"}).tenant(f"Bearer {value}")


def test_without_any_key_nobody_comes_in() -> None:
    with pytest.raises(UnknownApiKey):
        Authenticator({}).tenant("Bearer sesame")


# --- where keys come from


async def test_nothing_is_configured() -> None:
    async with authentication(None, None) as authenticator:
        assert authenticator is None


async def test_the_environment_alone() -> None:
    async with authentication(None, {}) as authenticator:
        assert authenticator is not None
        assert authenticator.keys == {}


async def test_file_and_environment_together(file: Path) -> None:
    async with authentication(file, {digest("sesame"): "bank"}) as authenticator:
        assert authenticator is not None
        assert authenticator.tenant(f"Bearer {OLD}") == "shop"
        assert authenticator.tenant("Bearer sesame") == "bank"


@pytest.mark.parametrize("content", [None, "version: 2"])
async def test_a_bad_file_is_refused_at_the_start(file: Path, content: str | None) -> None:
    spoil(file, content)
    with pytest.raises(DocumentError):
        async with authentication(file, None):
            pass


# --- changes of the file


async def test_a_new_file_takes_the_place_of_the_old(file: Path) -> None:
    source = KeysFile(file, {digest("sesame"): "bank"})
    write(file, shop=NEW)
    await source.refresh()
    assert source.authenticator.tenant(f"Bearer {NEW}") == "shop"
    assert source.authenticator.tenant("Bearer sesame") == "bank"
    with pytest.raises(UnknownApiKey):
        source.authenticator.tenant(f"Bearer {OLD}")


async def test_a_bad_new_file_is_refused_once_and_the_old_one_stays(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = KeysFile(file, {})
    spoil(file, "version: 1\nkeys: [{tenant: shop, sha256: tdm_secret}]")
    await source.refresh()
    await source.refresh()
    assert source.authenticator.tenant(f"Bearer {OLD}") == "shop"
    said = capsys.readouterr()
    assert (said.out + said.err).count("keys refused") == 1
    assert "secret" not in said.out + said.err


async def test_a_file_that_goes_away_changes_nothing_and_may_come_back(file: Path) -> None:
    source = KeysFile(file, {})
    spoil(file, None)
    await source.refresh()
    assert source.authenticator.tenant(f"Bearer {OLD}") == "shop"
    write(file, shop=NEW)
    await source.refresh()
    assert source.authenticator.tenant(f"Bearer {NEW}") == "shop"


async def test_what_did_not_change_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = KeysFile(file, {})
    monkeypatch.setattr(KeysFile, "_read", lambda _: pytest.fail("read again"))
    await source.refresh()


@pytest.mark.virtual_time
async def test_the_file_is_looked_at_again_and_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    async def note(_: KeysFile) -> None:
        looks.append(now())

    monkeypatch.setattr(KeysFile, "refresh", note)
    async with authentication(file, None):
        await asyncio.sleep(7)
    assert looks == [2.0, 4.0, 6.0]
