"""Gets Prometheus and promtool for the tests of alerts and dashboards, without root and without changing the system.

Those on PATH are taken if they are there. Else Debian's packages, with what Prometheus's own UI is made of, are fetched
with apt-get and unpacked into the cache folder (TANDEM_CACHE_DIR, else `tandem` in the user's cache folder).

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
UI_PACKAGES: Final = (
    "fonts-glyphicons-halflings",
    "libjs-bootstrap4",
    "libjs-d3",
    "libjs-eonasdan-bootstrap-datetimepicker",
    "libjs-jquery",
    "libjs-jquery-hotkeys",
    "libjs-moment",
    "libjs-moment-timezone",
    "libjs-mustache",
    "libjs-popper.js",
    "libjs-rickshaw",
)
"""What Debian's Prometheus links to in its UI."""
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


def web_assets() -> Path | None:
    """Return where the UI of the Prometheus in the cache folder lies; None: it is not there, or not whole."""
    web = cache_folder() / PACKAGE / "usr" / "share" / "prometheus" / "web"
    return web if (web / "static" / "rickshaw").is_dir() else None


def _complete() -> bool:
    installed = all(shutil.which(name) for name in PROGRAMS)
    return installed or (all(map(program, PROGRAMS)) and web_assets() is not None)


def fetch() -> None:
    """Fetch the packages into the cache folder.

    Raises:
        NotFetched: apt-get is not there, or cannot give it.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotFetched(f"{tool} is not on this machine")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        folder = Path(name)
        _run("apt-get", "download", PACKAGE, *UI_PACKAGES, folder=folder)
        for package in folder.glob("*.deb"):
            _run("dpkg-deb", "-x", str(package), "unpacked", folder=folder)
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
    if not _complete():
        print("Fetching Debian's packages of Prometheus …", file=sys.stderr)
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
