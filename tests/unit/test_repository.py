"""Would catch what no compiler sees in this repository.

An address of a package registry, a file grown too long, a make target without a word of help, a dependency that the
lock file does not pin, a service folder that does not look like the others.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = [
    ROOT / "requirements.lock",
    ROOT / "deploy/triton/requirements.lock",
    ROOT / "deploy/trace_ui/requirements.lock",
]
GENERATED = [ROOT / "services/tandem/v1", ROOT / "services/buf"]
SERVICES = ["orchestrator", "classifier", "inference", "fusion"]
MAX_LINES = 400

# In halves, so that this file does not hold what it forbids.
REGISTRIES = [
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download.pytorch", "org"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("proxy.golang", "org"),
        ("rubygems", "org"),
        ("deb.debian", "org"),
    )
]


def _source_files(*folders: str) -> Iterator[Path]:
    ignored = {".git", "shared"} | {
        line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")
    }
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if (
                path.is_file()
                and ignored.isdisjoint(parts)
                and not any(part.endswith(".egg-info") for part in parts)
            ):
                yield path


def _locked(path: Path) -> dict[str, Version]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)(.*)$", path.read_text(), re.MULTILINE)
    wanted = (Requirement(f"{name}=={version}{rest.rstrip(chr(92))}") for name, version, rest in pins)
    return {
        canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version)
        for pin in wanted
        if pin.marker is None or pin.marker.evaluate()
    }


def _make_targets() -> dict[str, str]:
    found = re.findall(r"^([a-z][a-z0-9-]*):(?!=)(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name: rest.partition("## ")[2] for name, rest in found}


def test_no_file_names_a_package_registry() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in _source_files(".")
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
    ]
    assert named == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_has_a_hash_for_every_package_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    entries = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)
    assert len(entries) >= len(_locked(lock)) > 0
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"://|^-.*|file:.*", text, re.MULTILINE) == []


def test_the_lock_pins_every_dependency_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared += extra
    locked = _locked(LOCKS[0])
    for requirement in map(Requirement, declared):
        pinned = locked.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement} is not in requirements.lock: run `make lock`"
        assert pinned in requirement.specifier, f"{pinned} is locked, {requirement} declared: run `make lock`"


def test_triton_gets_a_numpy_that_its_python_backend_can_read_strings_with() -> None:
    assert _locked(LOCKS[1])["numpy"] < Version("2")


def test_no_source_file_is_too_long() -> None:
    lengths = {
        path: len(path.read_text().splitlines())
        for path in _source_files("services", "tools", "deploy")
        if path.suffix == ".py" and not any(path.is_relative_to(folder) for folder in GENERATED)
    }
    assert [str(path.relative_to(ROOT)) for path, lines in lengths.items() if lines >= MAX_LINES] == []


def test_make_help_shows_every_target() -> None:
    targets = _make_targets()
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {"install", "demo", "up", "test", "lock", "clean"} <= targets.keys()
    for name, purpose in targets.items():
        assert purpose, f"the target {name} has no `##` comment"
        assert re.search(rf"^  make {name} +{re.escape(purpose)}$", shown, re.MULTILINE)


@pytest.mark.parametrize("caller", [".ci/run", ".pre-commit-config.yaml"])
def test_ci_and_hooks_run_nothing_but_make_targets(caller: str) -> None:
    commands = re.findall(r"^ *(?:entry: |exec )(.+)$", (ROOT / caller).read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        make, *targets = command.split()
        assert make == "make"
        assert set(targets) <= _make_targets().keys()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_folder_has_the_same_files(service: str) -> None:
    present = {path.name for path in (ROOT / "services/tandem" / service).iterdir()}
    assert {"__init__.py", "__main__.py", "settings.py", "servicer.py"} <= present


def test_no_folder_of_the_source_root_hides_a_package_of_the_environment() -> None:
    installed = [entry for entry in sys.path if entry.endswith("site-packages")]
    ours = [path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name.isidentifier()]
    assert [name for name in ours if PathFinder.find_spec(name, installed) is not None] == []
