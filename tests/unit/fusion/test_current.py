"""Catches an artifact that is not taken over, one that is though it is damaged, and a start without one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tandem import followed_file
from tandem.fusion.artifact import Artifact
from tandem.fusion.current import CurrentLearnt, current_weighing
from tandem.fusion.errors import ArtifactUnusable
from tandem.fusion.fuse import FusionCore
from tandem.v1 import fusion_pb2, types_pb2

REQUEST = fusion_pb2.FuseRequest(
    candidates=[fusion_pb2.Candidate(target=types_pb2.Target(tier="r1", variant="bf16"), text="B")]
)


def write(file: Path, revision: str) -> None:
    file.write_text(Artifact(revision=revision).model_dump_json())


def revision(core: FusionCore) -> str:
    return core.decide(REQUEST).fusion.artifact_revision


async def test_a_new_artifact_is_taken_over_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "fusion.json"
    write(file, "first")
    current = CurrentLearnt(file)
    core = FusionCore(weighing=current)
    assert revision(core) == "first"
    write(file, "the second")
    await current.refresh()
    assert revision(core) == "the second"
    file.write_text('{"format": 1, "voices": {"r1"')
    await current.refresh()
    assert revision(core) == "the second"
    file.unlink()
    await current.refresh()
    assert revision(core) == "the second"


async def test_the_file_is_looked_at_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_file, "POLL_SECONDS", 0.001)
    file = tmp_path / "fusion.json"
    write(file, "first")
    async with current_weighing(file) as weighing, asyncio.timeout(10):
        write(file, "the second")
        while weighing.learned.artifact.revision != "the second":
            await asyncio.sleep(0.001)


async def test_without_a_file_nothing_is_learned(tmp_path: Path) -> None:
    async with current_weighing(None) as weighing:
        assert revision(FusionCore(weighing=weighing)) == ""
    with pytest.raises(ArtifactUnusable):
        async with current_weighing(tmp_path / "none.json"):
            pass
