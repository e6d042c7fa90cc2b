"""Whether this machine has a GPU, and a Python whose torch can use it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "TANDEM_TORCH_PYTHON"
"""Names the Python that has torch; not set: the first `python3` on PATH."""
QUESTION_SECONDS: Final = 120.0
QUESTION: Final = """
import json, sys, torch
if not torch.cuda.is_available():
    sys.exit("its torch cannot use the GPU")
print(json.dumps({
    "packages": torch.__file__.rpartition("/torch/")[0],
    "python": "{}.{}".format(*sys.version_info[:2]),
    "torch": torch.__version__,
    "name": torch.cuda.get_device_name(),
}))
"""


class NoCard(Exception):
    """The tests of a GPU cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, and how programs get at it."""

    executable: Path
    """A Python that has torch."""
    packages: str
    """The folder of packages that has it."""
    python: str
    """Version of that Python, such as 3.12."""
    torch: str
    """Version of torch."""
    name: str
    """What the GPU is called."""


def require_driver() -> None:
    """Find the driver and a GPU, within milliseconds.

    Raises:
        NoCard: there is none.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise NoCard("this machine has no NVIDIA driver: libcuda.so.1 is not found") from None
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        raise NoCard("the NVIDIA driver finds no GPU")


def find_card() -> Card:
    """Return the GPU.

    Raises:
        NoCard: no GPU, or no Python whose torch can use it.
    """
    require_driver()
    executable = os.environ.get(VARIABLE) or shutil.which("python3") or "python3"
    done = subprocess.run(
        [executable, "-c", QUESTION], capture_output=True, text=True, timeout=QUESTION_SECONDS, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoCard(f"{executable} has no torch for the GPU ({reason}); name one that has in {VARIABLE}")
    return Card(Path(executable), **json.loads(done.stdout))
