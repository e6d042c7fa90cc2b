"""What all levels of test share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings

from tandem.simulation.virtual_time import VirtualTimeLoop

# A shared machine is slow now and then: how long one example takes proves nothing. CI tries the same examples every
# time, so that a change is never blamed for what chance found; developers' runs look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what is marked `virtual_time` on a clock that does not wait."""
    virtual = item.get_closest_marker("virtual_time")
    return {"loop": VirtualTimeLoop if virtual else asyncio.new_event_loop}
