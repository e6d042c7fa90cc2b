"""Would catch a machine refused that can run Triton's wheel, or one let through, or a refusal that does not help."""

from __future__ import annotations

import pytest

from tandem.embedded.errors import PlatformUnsupported
from tandem.embedded.host import Host, check_host, this_host


@pytest.mark.parametrize("glibc", [(2, 35), (2, 36), (3, 0)])
def test_accepts_what_the_wheel_runs_on(glibc: tuple[int, int]) -> None:
    check_host(Host("linux", "x86_64", glibc))


@pytest.mark.parametrize(
    ("host", "found", "needed"),
    [
        (Host("darwin", "arm64", None), "darwin", "Linux"),
        (Host("win32", "AMD64", None), "win32", "Linux"),
        (Host("linux", "aarch64", (2, 39)), "aarch64", "x86-64"),
        (Host("linux", "x86_64", (2, 34)), "glibc 2.34", "glibc 2.35"),
        (Host("linux", "x86_64", None), "another C library", "glibc 2.35"),
    ],
)
def test_a_refusal_says_what_was_found_what_is_needed_and_what_to_do(
    host: Host, found: str, needed: str
) -> None:
    with pytest.raises(PlatformUnsupported) as refusal:
        check_host(host)
    message = str(refusal.value)
    assert found in message
    assert needed in message
    assert "nvcr.io/nvidia/tritonserver" in message
    assert "--triton-url" in message


def test_knows_this_machine() -> None:
    check_host(this_host())
