"""What all levels of test share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from tandem.simulation.virtual_time import VirtualTimeLoop

# A shared machine is slow now and then: how long one example takes proves nothing. CI tries the same examples every
# time, so that a change is never blamed for what chance found; developers' runs look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")

# For tests and all that they start: where several processes share a few cores, each with a thread of NumPy per core,
# the threads wait for each other, and take up to five times the time of one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for `--dist loadgroup`: those of one running system, else those of a file."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    file = item.nodeid.partition("::")[0]
    if "system" not in getattr(item, "fixturenames", ()):
        return file
    assert isinstance(item, pytest.Function)
    forms = item.callspec.params
    return f"{Path(file).parent}, {forms.get('mode', forms.get('system'))}"


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what is marked `virtual_time` on a clock that does not wait."""
    virtual = item.get_closest_marker("virtual_time")
    return {"loop": VirtualTimeLoop if virtual else asyncio.new_event_loop}
