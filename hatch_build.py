"""Compiles the extension modules while the project is installed or its wheel is built; they need a C compiler."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = (
    "services/tandem/classifier/features/reading.pyx",
    "services/tandem/classifier/heads.pyx",
    "services/tandem/classifier/summing.pyx",
    "services/tandem/telemetry/wire.pyx",
)
FLAGS = ("-O3", "-ffp-contract=off")
"""No fused arithmetic: it would make the same text differ between processors."""


class CompileHook(BuildHookInterface[Any]):
    """Puts each compiled module beside its source, where an editable install finds it and a wheel takes it from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; `version` is "editable" or "standard".

        Raises:
            SystemExit: there is no compiler, or it fails.
        """
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        for source in SOURCES:
            compiled = compile_beside(root, root / source)
            build_data["artifacts"].append(f"/{compiled.relative_to(root)}")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_beside(root: Path, source: Path) -> Path:
    """Compile one module into the folder of its source and return the file.

    Raises:
        SystemExit: there is no compiler, or it fails.
    """
    from Cython.Build import cythonize  # noqa: PLC0415 - only who compiles needs them
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415
    from setuptools.errors import BaseError  # noqa: PLC0415

    name = ".".join(source.relative_to(root / "services").with_suffix("").parts)
    extension = Extension(
        name, [str(source.relative_to(root))], extra_compile_args=list(FLAGS), extra_link_args=["-s"]
    )
    with TemporaryDirectory(prefix="tandem-build-") as build:
        modules = cythonize([extension], build_dir=build, force=True, quiet=True)
        command = build_ext(Distribution({"ext_modules": modules}))
        command.build_temp, command.build_lib = build, str(root / "services")
        command.ensure_finalized()
        try:
            command.run()
        except BaseError as error:
            raise SystemExit(
                f"{source.name} could not be compiled: {error}. It needs a C compiler and the headers of Python; on "
                "Debian: apt-get install gcc python3-dev"
            ) from None
        return root / "services" / command.get_ext_filename(name)
