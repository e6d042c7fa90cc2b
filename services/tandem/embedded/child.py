"""Runs a service as a child process that does not outlive its parent: `python -m tandem.embedded.child SERVICE`."""

from __future__ import annotations

import ctypes
import signal
import sys
from importlib import import_module
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def main(service: str) -> None:
    """Run a service with the settings of the environment; SIGTERM comes when the parent dies."""
    # Asked for here and not between fork and exec: a fork of a process that uses gRPC runs gRPC's fork handlers.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    import_module(f"tandem.{service}.__main__").main()


if __name__ == "__main__":
    main(sys.argv[1])
