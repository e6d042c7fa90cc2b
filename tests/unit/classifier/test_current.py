"""Catches an artifact that is not taken over, one that is taken over though it is damaged, and a start without one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tandem import followed_file
from tandem.classifier.classify import ClassifierCore
from tandem.classifier.current import CurrentArtifact, current_artifact
from tandem.classifier.errors import ArtifactUnusable
from tandem.v1 import classifier_pb2, types_pb2
from tests.fakes import artifacts
from tests.fakes.calls import call

REQUEST = classifier_pb2.ClassifyRequest(
    messages=[types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text="Prove it.")])]
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "current.safetensors"


def damage(file: Path) -> None:
    file.write_bytes(b"half an artif")


def remove(file: Path) -> None:
    file.unlink()


def turn(link: Path, target: str) -> None:
    """Make a link lead elsewhere at one blow, as Kubernetes does with a mounted volume."""
    draft = link.with_name("draft")
    draft.symlink_to(target)
    draft.replace(link)


async def revision(core: ClassifierCore) -> str:
    return (await core.classify(REQUEST, call())).signals.artifact_revision


async def test_a_new_artifact_is_taken_over_and_a_damaged_one_is_not(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = artifacts.write(file)
    source = CurrentArtifact(file)
    core = ClassifierCore(source)
    assert await revision(core) == first
    held = source.judge
    await source.refresh()
    assert source.judge is held

    second = artifacts.write(file, seed=1)
    await source.refresh()
    assert await revision(core) == second != first
    assert held.artifact.revision == first

    damage(file)
    await source.refresh()
    assert await revision(core) == second
    remove(file)
    await source.refresh()
    assert await revision(core) == second

    artifacts.write(file)
    await source.refresh()
    assert await revision(core) == first


async def test_requests_are_answered_while_another_artifact_is_read(file: Path) -> None:
    artifacts.write(file)
    source = CurrentArtifact(file)
    core = ClassifierCore(source)
    artifacts.write(file, seed=1)
    refreshing = asyncio.create_task(source.refresh())
    seen = set()
    while not refreshing.done():
        seen.add(await revision(core))
        await asyncio.sleep(0)
    seen.add(await revision(core))
    assert len(seen) == 2


async def test_the_file_is_looked_at_again_and_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_file, "POLL_SECONDS", 0.001)
    artifacts.write(file)
    async with current_artifact(file) as source:
        wanted = artifacts.write(file, seed=1)
        async with asyncio.timeout(10):
            while source.judge.artifact.revision != wanted:
                await asyncio.sleep(0.001)
    judged = source.judge
    artifacts.write(file)
    await asyncio.sleep(0.02)
    assert source.judge is judged


async def test_a_link_that_is_turned_to_another_file_is_a_change(file: Path, tmp_path: Path) -> None:
    artifacts.write(tmp_path / "one")
    wanted = artifacts.write(tmp_path / "two", seed=1)
    turn(file, "one")
    source = CurrentArtifact(file)
    turn(file, "two")
    await source.refresh()
    assert source.judge.artifact.revision == wanted


def test_there_is_no_start_without_an_artifact(file: Path) -> None:
    with pytest.raises(ArtifactUnusable, match="cannot be read"):
        CurrentArtifact(file)
