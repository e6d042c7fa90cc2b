"""Whether Triton's wheel can run on this machine at all."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from typing import Final

from tandem.embedded.errors import OTHER_TRITON, PlatformUnsupported

GLIBC_NEEDED: Final = (2, 35)
"""What the wheel is built against."""


@dataclass(frozen=True, slots=True)
class Host:
    """The facts about a machine that decide."""

    system: str
    machine: str
    glibc: tuple[int, int] | None
    """None: another C library, such as musl."""


def this_host() -> Host:
    """Return the facts about the machine that this runs on."""
    return Host(system=sys.platform, machine=platform.machine(), glibc=_glibc_version())


def check_host(host: Host) -> None:
    """Refuse a machine that Triton's wheel does not run on.

    Raises:
        PlatformUnsupported: with what was found, what is needed and what to do.
    """
    if host.system != "linux":
        raise PlatformUnsupported(
            f"The embedded Triton runs on Linux, this is {host.system}. "
            f"Use a Linux machine or container, or {OTHER_TRITON}."
        )
    if host.machine not in ("x86_64", "AMD64"):
        raise PlatformUnsupported(
            f"The embedded Triton needs an x86-64 processor, this is {host.machine}. To go on: {OTHER_TRITON}."
        )
    if host.glibc is None or host.glibc < GLIBC_NEEDED:
        found = "another C library" if host.glibc is None else "glibc " + ".".join(map(str, host.glibc))
        needed = ".".join(map(str, GLIBC_NEEDED))
        raise PlatformUnsupported(
            f"The embedded Triton needs glibc {needed} or newer, this machine has {found}. "
            f"Use Debian 12, Ubuntu 22.04 or newer, or {OTHER_TRITON}."
        )


def _glibc_version() -> tuple[int, int] | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", text)
    return (int(found[1]), int(found[2])) if found else None
