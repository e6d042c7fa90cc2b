"""Would catch: a key that does not fit its hash, a file that loses a key or can be read by others, a wrong status."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tandem.cli.keys import app
from tandem.cli.keys_file import add_entry
from tandem.serving.keys import KeyEntry, digest, load_keys


def keys(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_a_new_key_stands_alone_on_standard_output(file: Path) -> None:
    result = keys("new", "shop")
    key = result.stdout.removesuffix("\n")
    assert (result.exit_code, key[:4], len(key)) == (0, "tdm_", 68)
    assert f"  - {{tenant: shop, sha256: {digest(key)}}}" in result.stderr.splitlines()
    assert key not in result.stderr
    assert not file.exists()


def test_a_new_key_in_a_new_file(file: Path) -> None:
    result = keys("new", "shop", "--file", file, "--name", "night shift: 1")
    assert result.exit_code == 0
    assert f"added to {file}" in result.stderr
    (entry,) = load_keys(file).keys
    assert entry == KeyEntry(tenant="shop", sha256=digest(result.stdout.strip()), name="night shift: 1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("empty", ["keys: []", "keys: [] # none yet"])
def test_the_first_key_of_a_file_without_keys(file: Path, empty: str) -> None:
    file.write_text(f"version: 1\n{empty}\n")
    assert keys("new", "shop", "--file", file).exit_code == 0
    assert list(load_keys(file).tenants.values()) == ["shop"]


def test_a_file_keeps_its_comments_its_mode_and_its_link(file: Path, tmp_path: Path) -> None:
    before = (
        f"# Keys of the shop\nversion: 1\nkeys:\n  - {{tenant: shop, sha256: {'a' * 64}}} # the first one\n"
    )
    file.write_text(before)
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    key = keys("new", "bank", "--file", link).stdout.strip()
    assert file.read_text() == f"{before}  - {{tenant: bank, sha256: {digest(key)}}}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()


def test_keys_made_at_the_same_time_are_all_there(file: Path) -> None:
    entries = [KeyEntry(tenant="shop", sha256=digest(str(number))) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: add_entry(file, entry), entries))
    assert set(load_keys(file).tenants) == {entry.sha256 for entry in entries}


def test_a_bad_file_is_left_as_it_is_and_no_key_is_shown(file: Path) -> None:
    file.write_text("version: 1\nkey: []\n")
    result = keys("new", "shop", "--file", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file}:2:1: key: is not known; did you mean keys?" in result.stderr
    assert file.read_text() == "version: 1\nkey: []\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = keys("new", "shop", "--file", tmp_path / "none" / "keys.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"cannot use {tmp_path / 'none'}: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["a b"], ["x" * 65], ["shop", "--name", ""], ["shop", "--name", "x" * 65]]
)
def test_names_that_cannot_be(arguments: list[str]) -> None:
    result = keys("new", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_new_key_as_json(file: Path) -> None:
    found = json.loads(keys("new", "shop", "--file", file, "--name", "ci", "--json").stdout)
    assert found == {"key": found["key"], "tenant": "shop", "sha256": digest(found["key"]), "name": "ci"}
    assert set(load_keys(file).tenants) == {found["sha256"]}


def test_listing(file: Path) -> None:
    key = keys("new", "shop", "--file", file, "--name", "[ci]").stdout.strip()
    keys("new", "bank", "--file", file)
    shown = keys("list", file)
    assert shown.exit_code == 0
    assert "[ci]" in shown.stdout
    assert digest(key)[:12] in shown.stdout
    described = json.loads(keys("list", file, "--json").stdout)["keys"]
    assert described[0] == {"tenant": "shop", "sha256": digest(key), "name": "[ci]"}
    assert [entry["tenant"] for entry in described] == ["shop", "bank"]


def test_checking_a_good_file(file: Path) -> None:
    for tenant in ("shop", "shop", "bank"):
        keys("new", tenant, "--file", file)
    assert keys("check", file).stdout == f"OK {file}: 3 keys of 2 tenants\n"
    assert json.loads(keys("check", file, "--json").stdout) == {
        "ok": True,
        "file": str(file),
        "problems": [],
        "keys": 3,
        "tenants": 2,
    }


def test_checking_a_bad_file(file: Path) -> None:
    file.write_text("version: 1\nkeys:\n  - {tenant: shop, sha256: 12}\n")
    for command in ("check", "list"):
        result = keys(command, file)
        assert result.exit_code == 1
        assert f"{file}:3:20: keys[0].sha256: must be text (got 12)" in result.output
    found = json.loads(keys("check", file, "--json").stdout)
    assert (found["ok"], found["problems"][0]["line"]) == (False, 3)


@pytest.mark.parametrize("command", ["list", "check"])
def test_a_file_that_is_not_there(command: str, file: Path) -> None:
    assert keys(command, file).exit_code == 2
