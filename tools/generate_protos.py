"""Generates the Python modules and type stubs of every contract under protos/ into services/.

The package of a contract is its import path, so nothing that protoc writes needs to be rewritten. `--check` writes
nothing and fails when the committed modules are not what the contracts give.
"""

import argparse
import filecmp
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
SERVICES = ROOT / "services"

# The packages that hold nothing but generated code, each with the docstring of its `__init__.py`.
PACKAGES = {
    Path("tandem/v1"): "The messages and services of Tandem's contract, generated from protos/tandem/v1.",
    Path("buf"): "Generated from protos/buf.",
    Path("buf/validate"): "The options that state validation rules, generated from protos/buf/validate.",
}
_SERVICE = re.compile(r"^service\s", re.MULTILINE)


class GenerationError(Exception):
    """The contracts could not be turned into Python."""


def contracts() -> list[Path]:
    """All .proto files, in a fixed order."""
    return sorted(PROTOS.rglob("*.proto"))


def generate(target: Path) -> None:
    """Writes all generated packages below `target`.

    Raises:
        GenerationError: protoc refused a contract; what it said is on standard error.
    """
    everything = contracts()
    with_services = [path for path in everything if _SERVICE.search(path.read_text(encoding="utf-8"))]
    _protoc(everything, [f"--python_out={target}", f"--mypy_out=quiet:{target}"])
    _protoc(with_services, [f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}"])
    for package, docstring in PACKAGES.items():
        (target / package / "__init__.py").write_text(f'"""{docstring}"""\n', encoding="utf-8")


def _protoc(paths: Sequence[Path], outputs: Sequence[str]) -> None:
    programs = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        *(f"--plugin={name}={programs / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        *outputs,
        *(str(path.relative_to(PROTOS)) for path in paths),
    ]
    if protoc.main(arguments) != 0:
        raise GenerationError(
            "protoc refused the contracts; the lines above say where. Correct protos/ and run again."
        )


def differences(fresh: Path, committed: Path) -> list[str]:
    """What `committed` would have to change to equal `fresh`, one line per file; empty when nothing."""
    new, old = _generated(fresh), _generated(committed)
    lines = [f"missing: {path}" for path in new - old]
    lines += [f"no contract makes it: {path}" for path in old - new]
    lines += [
        f"differs: {path}"
        for path in new & old
        if not filecmp.cmp(fresh / path, committed / path, shallow=False)
    ]
    return sorted(lines)


def _generated(root: Path) -> set[Path]:
    return {
        path.relative_to(root)
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.suffix in {".py", ".pyi"}
    }


def install(fresh: Path, committed: Path) -> None:
    """Makes the generated packages of `committed` equal to those of `fresh`; touches only what differs."""
    for path in _generated(committed) - _generated(fresh):
        (committed / path).unlink()
    for path in _generated(fresh):
        target = committed / path
        if target.exists() and filecmp.cmp(fresh / path, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / path, target)


def main() -> int:
    """Generates, or with `--check` compares; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when committed code is out of date"
    )
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="tandem-protos-") as folder:
        fresh = Path(folder)
        generate(fresh)
        if not check:
            install(fresh, SERVICES)
            return 0
        stale = differences(fresh, SERVICES)
    if stale:
        print(
            "Generated code is not what protos/ gives; run `make protos` and commit the result:",
            file=sys.stderr,
        )
        print("\n".join(f"  {line}" for line in stale), file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GenerationError as error:
        sys.exit(str(error))
