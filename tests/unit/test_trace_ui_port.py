"""Would catch a trace UI that is another one, which was there before: its traces would be looked for in vain."""

from __future__ import annotations

import socket

import pytest

from fault_matrix.process import LOOPBACK, StartFailed, free_port
from trace_demo.phoenix import check_free


def test_a_port_that_is_free_is_taken() -> None:
    check_free(free_port())


def test_a_port_that_is_taken_is_not() -> None:
    with socket.create_server((LOOPBACK, 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(StartFailed, match=f"cannot listen at port {port} .*choose another with --port"):
            check_free(port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_what_is_no_port_is_not(port: int) -> None:
    with pytest.raises(StartFailed, match="choose another with --port"):
        check_free(port)
