"""Runs a command and sees that nothing of it is left behind, whatever happens to the process that wanted it.

Started as a program of its own: `python -I -S guard.py SHM_PREFIX GRACE_SECONDS COMMAND…`. Standard input is a pipe
whose other end only the supervisor holds: its end means that the supervisor is dead. Standard output gets one line with
the command's process id. The command's output goes to standard error. Uses the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - not a temporary file of ours: where Triton puts its regions
REAP_SECONDS: Final = 10.0
SUPERVISOR_GONE: Final = "gone"
ASKED_TO_STOP: Final = "stop"
COMMAND_ENDED: Final = "ended"


def main(arguments: list[str]) -> int:
    """Run the command until it ends, the supervisor dies or SIGTERM comes; return the command's exit status."""
    prefix, grace_seconds, *command = arguments
    library = ctypes.CDLL(None)
    # Orphans of the command come to this process instead of to init, so that they can be waited for.
    library.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeups = _signals_as_bytes()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        # If this process is killed by SIGKILL, the command goes with it.
        preexec_fn=lambda: library.prctl(  # noqa: PLW1509 - this program has no threads
            PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0
        ),
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    if _what_happened(child, wakeups) == ASKED_TO_STOP:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(float(grace_seconds))
    _kill_all(child)
    remove_regions(prefix)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def remove_regions(prefix: str) -> None:
    """Remove the shared memory whose name begins so."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _signals_as_bytes() -> int:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reader


def _what_happened(child: subprocess.Popen[bytes], wakeups: int) -> str:
    supervisor = sys.stdin.fileno()
    while child.poll() is None:
        ready, _, _ = select.select([supervisor, wakeups], [], [])
        if supervisor in ready:
            return SUPERVISOR_GONE
        if signal.SIGTERM in os.read(wakeups, 64):
            return ASKED_TO_STOP
    return COMMAND_ENDED


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    """Kill the command's whole group and wait for all of it: a model that hangs does not notice that Triton died."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + REAP_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
