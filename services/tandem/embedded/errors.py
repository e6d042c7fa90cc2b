"""What can go wrong while the embedded system is prepared or started.

Every message says what was found, what is needed and what to do. None of these reaches a client over gRPC.
"""

from __future__ import annotations

from typing import Final

OTHER_TRITON: Final = (
    "run Triton from its container image nvcr.io/nvidia/tritonserver and point Tandem at it with --triton-url"
)
"""The way out for a machine that cannot run Triton from the wheel."""


class EmbeddedError(Exception):
    """Base of all errors of the embedded system."""


class PlatformUnsupported(EmbeddedError):
    """Triton's wheel cannot run on this machine."""


class InterpreterUnsuitable(EmbeddedError):
    """No Python on this machine fits Triton's Python backend."""


class CacheUnusable(EmbeddedError):
    """The cache folder cannot be written to, or is full."""


class DownloadFailed(EmbeddedError):
    """A package or a file could not be fetched."""


class WeightsInvalid(EmbeddedError):
    """The weights are not what they should be."""


class TritonFailed(EmbeddedError):
    """Triton did not start, or did not become ready."""
