"""Gets Prometheus and promtool for the tests of alerts and dashboards, without root and without changing the system.

Those on PATH are taken if they are there. Else Debian's package is fetched with apt-get and unpacked into the cache
folder (TANDEM_CACHE_DIR, else `tandem` in the user's cache folder).

Exit status: 0 they are there, 1 they cannot be had: the tests that need them are skipped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tandem.cache_folder import cache_folder

PROGRAMS: Final = ("prometheus", "promtool")
PACKAGE: Final = "prometheus"
HELP: Final = (
    "Install Prometheus (Debian, Ubuntu: apt-get install prometheus) or put prometheus and promtool on PATH; "
    "without them the tests of alerts and dashboards are skipped."
)


class NotFetched(Exception):
    """The programs cannot be had. The message says why."""


def program(name: str) -> Path | None:
    """Return where a program is: on PATH, or in the cache folder; None: it is not there."""
    found = shutil.which(name)
    cached = cache_folder() / PACKAGE / "usr" / "bin" / name
    if found:
        return Path(found)
    return cached if cached.is_file() else None


def fetch() -> None:
    """Fetch the package into the cache folder.

    Raises:
        NotFetched: apt-get is not there, or cannot give it.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotFetched(f"{tool} is not on this machine")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        folder = Path(name)
        _run("apt-get", "download", PACKAGE, folder=folder)
        _run("dpkg-deb", "-x", str(next(folder.glob("*.deb"))), "unpacked", folder=folder)
        shutil.rmtree(cache_folder() / PACKAGE, ignore_errors=True)
        (folder / "unpacked").rename(cache_folder() / PACKAGE)


def _run(*command: str, folder: Path) -> None:
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if ran.returncode:
        raise NotFetched(f"`{' '.join(command)}` failed: {ran.stderr.strip() or ran.stdout.strip()}")


def main() -> int:
    """Run the program."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    if not all(map(program, PROGRAMS)):
        print("Fetching Debian's package of Prometheus …", file=sys.stderr)
        try:
            fetch()
        except NotFetched as error:
            print(f"There is no Prometheus: {error}. {HELP}", file=sys.stderr)
            return 1
    for name in PROGRAMS:
        print(program(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
