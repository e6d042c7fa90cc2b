"""What all levels of test share."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tandem.simulation.virtual_time import VirtualTimeLoop

FORM: Final = re.compile(r"\[(?:.*-)?(together|separate)[-\]]")

# A shared machine is slow now and then: how long one example takes proves nothing. CI tries the same examples every
# time, so that a change is never blamed for what chance found; developers' runs look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")

# For tests and all that they start: where several processes share a few cores, each with a thread of NumPy per core,
# the threads wait for each other, and take up to five times the time of one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # the library lacks types
    """What `--dist loadscope` keeps on one worker: tests of one form of the system in a folder, else of a file."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        form = FORM.search(test)
        return f"{Path(file).parent}, {form[1]}" if form else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups | None:
    """Start a system that many tests share once, and not on every worker."""
    return Groups(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what is marked `virtual_time` on a clock that does not wait."""
    virtual = item.get_closest_marker("virtual_time")
    return {"loop": VirtualTimeLoop if virtual else asyncio.new_event_loop}
