"""Would catch a ConfigMap whose change is missed, a bad document that is used or not told of, and a half-read pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.followed_documents import FollowedDocuments
from tandem.orchestrator.documents import Documents, followed_documents
from tandem.telemetry.logs import logger
from tandem.yaml_document import DocumentError
from tests.fakes.config_map import MountedConfigMap
from tests.system import CATALOGUE, POLICY

MODELS = CATALOGUE.read_text(encoding="utf-8")
RULES = POLICY.read_text(encoding="utf-8")
STRICTER = RULES.replace("threshold: 0.5", "threshold: 0.9")
WITH_INT4 = MODELS.replace("      int8:\n", "      int4:\n").replace("model: r1-int8", "model: r1-int4")
NAMES_INT4 = RULES.replace("r1/int8", "r1/int4")


class Mounted:
    """Both documents in a mounted ConfigMap, and who follows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.map = MountedConfigMap(folder, {"catalogue.yaml": MODELS, "policy.yaml": RULES})
        self.documents: FollowedDocuments[Documents] = followed_documents(
            folder / "catalogue.yaml", folder / "policy.yaml", ["r1", "pro"], logger("test")
        )
        self.taken: list[Documents] = []
        self.documents.watch(self.taken.append)

    async def update(self, catalogue: str = MODELS, policy: str = RULES) -> None:
        self.map.update({"catalogue.yaml": catalogue, "policy.yaml": policy})
        await self.documents.refresh()


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path / "documents")


async def test_a_change_is_taken_once(mounted: Mounted) -> None:
    before = mounted.documents.current
    await mounted.update(policy=STRICTER)
    await mounted.documents.refresh()
    assert mounted.documents.current.policy.routing.threshold == 0.9
    assert mounted.documents.current.revision != before.revision
    assert mounted.taken == [mounted.documents.current]


async def test_a_bad_policy_leaves_the_old_one_and_says_where_it_is_wrong(
    mounted: Mounted, capsys: pytest.CaptureFixture[str]
) -> None:
    before = mounted.documents.current
    line = STRICTER.splitlines().index("  threshold: 0.9") + 1
    await mounted.update(policy=STRICTER.replace("threshold: 0.9", "treshold: 0.9"))
    await mounted.documents.refresh()
    assert mounted.documents.current is before
    assert mounted.taken == []
    assert f"policy.yaml:{line}:" in mounted.documents.error
    assert "did you mean threshold?" in mounted.documents.error
    said = capsys.readouterr()
    assert (said.out + said.err).count("documents refused") == 1
    assert f"policy.yaml:{line}:" in said.out + said.err


async def test_what_is_put_right_counts_and_the_error_is_gone(mounted: Mounted) -> None:
    await mounted.update(policy="version: 2")
    assert mounted.documents.error
    await mounted.update(policy=STRICTER)
    assert mounted.documents.error == ""
    assert mounted.documents.current.policy.routing.threshold == 0.9


async def test_what_is_taken_back_is_no_error_any_more_and_no_change(mounted: Mounted) -> None:
    before = mounted.documents.current
    await mounted.update(policy="version: 2")
    await mounted.update()
    assert mounted.documents.error == ""
    assert mounted.documents.current is before
    assert mounted.taken == []


async def test_documents_that_need_each_other_count_when_both_are_there(mounted: Mounted) -> None:
    await mounted.update(policy=NAMES_INT4)
    assert "int4" in mounted.documents.error
    await mounted.update(policy=NAMES_INT4, catalogue=WITH_INT4)
    assert mounted.documents.error == ""
    assert "int4" in mounted.documents.current.catalogue.tiers["r1"].variants


async def test_a_comment_changes_nothing(mounted: Mounted) -> None:
    await mounted.update(policy=RULES + "# said in passing\n")
    assert mounted.taken == []


async def test_a_tier_without_a_service_is_refused(mounted: Mounted) -> None:
    third = MODELS.replace("  pro:\n", "  max:\n").replace("model: pro", "model: max")
    whole = MODELS + "\n  max:\n" + third.partition("  max:\n")[2]
    await mounted.update(catalogue=whole)
    assert "max has no inference service here" in mounted.documents.error
    assert mounted.taken == []


async def test_a_file_that_is_away_changes_nothing_and_may_come_back(mounted: Mounted) -> None:
    (mounted.folder / "policy.yaml").unlink()
    await mounted.documents.refresh()
    assert "policy.yaml" in mounted.documents.error
    (mounted.folder / "policy.yaml").write_text(STRICTER, encoding="utf-8")
    await mounted.documents.refresh()
    assert mounted.documents.current.policy.routing.threshold == 0.9


def test_a_bad_document_at_the_start_is_raised(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("version: 2", encoding="utf-8")
    with pytest.raises(DocumentError):
        followed_documents(CATALOGUE, tmp_path / "policy.yaml", ["r1", "pro"], logger("test"))
