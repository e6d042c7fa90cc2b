"""What deploy/Dockerfile's images hold, as root folders for containers: made of this machine, or real ones unpacked."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.cache_folder import cache_folder
from tandem.embedded.environment import prepare
from tandem.embedded.progress import progress_on
from tests.chart.rendering import ROOT

UNPACKED: Final = os.environ.get("TANDEM_TEST_IMAGES", "")
"""A folder with the unpacked images `tandem` and `triton-cpu`; empty: stand-ins made of this machine."""
DEVICES: Final = ("null", "zero", "random", "urandom")


@dataclass(frozen=True, slots=True)
class Image:
    """A root folder, before anything is mounted in it."""

    variables: Mapping[str, str]
    """What ENV sets."""
    make_root: str
    """Commands of a shell that make the root in the folder `$new`, which is empty; `$new` is private to them."""
    on_top: str = ""
    """Commands for what must lie on top of the pod's volumes."""


def image(target: str, folder: Path) -> Image:
    """Return a target of the Dockerfile; what has to be made for it goes into `folder`."""
    if UNPACKED:
        return Image(
            variables(target),
            f'mount --bind {shlex.quote(str(Path(UNPACKED) / target))} "$new"\n{_devices()}',
        )
    bare = f"{_base()}\n{_devices()}"
    if target == "tandem":
        # The checkout has to be where it is, and may be below /tmp, which is a volume of the pod.
        return Image(variables(target), bare, _tandem())
    return Image(variables(target), f"{bare}\n{_triton(folder)}")


def variables(target: str) -> dict[str, str]:
    """Return what ENV sets in a target of the Dockerfile."""
    text = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    (stage,) = re.findall(rf"^FROM \S+ AS {target}$(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    words = [word for line in re.findall(r"^ENV (.*)$", stage, re.MULTILINE) for word in line.split()]
    return dict(word.split("=", 1) for word in words)


def _bind(source: Path, path: str = "") -> str:
    """Return commands that show a folder of this machine at the same path, or at another one, to be read only."""
    target = f'"$new"{shlex.quote(path or str(source))}'
    return f"mkdir -p {target}; mount --bind {shlex.quote(str(source))} {target}; mount -o remount,bind,ro {target}"


def _base() -> str:
    """Return commands for what a base image has: the system's programs, its Python, and a few files of /etc."""
    links = [
        f'cp -P {path} "$new"/' if path.is_symlink() else _bind(path)
        for path in map(Path, ("/bin", "/lib", "/lib64", "/sbin"))
        if path.exists()
    ]
    etc = 'mkdir -p "$new"/etc; cp -L /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache "$new"/etc/'
    return "\n".join(
        [
            'mount -t tmpfs -o mode=755 root "$new"',
            _bind(Path("/usr")),
            *links,
            etc,
            _bind(Path(sys.base_prefix).resolve()),
        ]
    )


def _devices() -> str:
    each = "; ".join(
        f'touch "$new"/dev/{name}; mount --bind /dev/{name} "$new"/dev/{name}' for name in DEVICES
    )
    return f"""
mkdir -p "$new"/dev "$new"/proc "$new"/tmp
mount -t tmpfs -o mode=755 dev "$new"/dev
mkdir "$new"/dev/shm
{each}
mount -t proc proc "$new"/proc
"""


def _tandem() -> str:
    """Return commands that lay out /opt/tandem as the image does, of this checkout and its environment."""
    environment = Path(sys.prefix)
    links = [
        f'ln -s {environment / name} "$new"/opt/tandem/{name}'
        for name in ("bin", "include", "lib", "lib64", "pyvenv.cfg")
    ]
    return "\n".join(
        [
            _bind(ROOT),
            _bind(environment),
            'mkdir -p "$new"/opt/tandem',
            *links,
            f'ln -s {ROOT / "tools"} "$new"/opt/tandem/tools',
        ]
    )


def _triton(folder: Path) -> str:
    """Return commands that show /opt/triton and /opt/tandem/backends, laid out by the script of the image's build."""
    triton, backends = folder / "triton", folder / "backends"
    if not triton.exists():
        made = prepare(cache_folder(), progress_on(sys.stderr))
        shutil.copytree(made.folder, triton, symlinks=True)
        triton.chmod(0o755)
        (triton / "libpython").chmod(0o755)
        script = ROOT / "deploy" / "image" / "lay_out_triton.sh"
        simulator = ROOT / "tests" / "triton" / "backends" / "simulator"
        subprocess.run(["sh", script, triton, backends, simulator], cwd=ROOT, check=True)
    return f"{_bind(triton, '/opt/triton')}\n{_bind(backends, '/opt/tandem/backends')}"
