"""Would catch: an engine's error that is taken for another kind, so that the wrong fallback answers or none."""

from __future__ import annotations

import re

import pytest

from tandem.errors import BackendError, BackendUnavailable, OutOfMemory, PromptTooLong, TandemError
from tandem.inference.failures import ROWS, read_failure

MESSAGES: dict[type[TandemError], list[str]] = {
    OutOfMemory: [
        # PyTorch
        "CUDA out of memory. Tried to allocate 24.00 GiB. GPU 0 has a total capacity of 39.39 GiB",
        "Failed to process the request(s) for model instance 'r1_0_0', message: OutOfMemoryError: CUDA out of memory.",
        "torch.OutOfMemoryError: HIP out of memory.",
        "CUDA error: out of memory",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        # Python, C++ and the kernel
        "MemoryError: std::bad_alloc",
        "Error in cudaMalloc: failed to allocate 1073741824 bytes",
        "OSError: [Errno 12] Cannot allocate memory",
        "the process was killed by the OOM killer",
        # llama.cpp
        "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 536870912",
        "alloc_buffer: allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory",
    ],
    PromptTooLong: [
        "The decoder prompt (length 4096) is longer than the maximum model length of 2048.",
        "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens in the messages.",
        "prompt has 3001 tokens, context holds 2048: send less",
        "request (3001 tokens) exceeds the available context size (2048 tokens), try increasing it",
    ],
    BackendUnavailable: [
        "Stub process 'r1_0_0' is not healthy.",
        "Stub process is unhealthy and it will be restarted.",
        "Failed to process the request(s) for model instance 'r1_0_0', message: Stub process 'r1_0_0' exited.",
        "Request for unknown model: 'r1' is not found",
        "Request for unknown model: 'r1' has no available versions",
        "Request for unknown model: 'r1' version 1 is not at ready state",
        "r1: model is not ready",
        "Server is stopping, scheduler for model has stopped accepting new inference requests",
        "in ensemble 'r1', scheduler for model is unloading",
        "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "AsyncEngineDeadError: Background loop has errored already.",
        "Background loop is not running. If it was running, inspect the output to find the stacktrace of the error",
        "the engine is not running",
        "Server exiting",
        "the server is shutting down",
        "socket is temporarily unavailable",
        "Exceeds maximum queue size",
    ],
    BackendError: [
        "CUDA error: an illegal memory access was encountered",
        "unexpected shape for input 'text_input' for model 'r1'. Expected [1], got [2].",
        "temperature must be non-negative, got -1.0.",
        "max_tokens must be at least 1, got 0.",
        "a bloomy room",
        "",
    ],
}
CASES = [(kind, message) for kind, messages in MESSAGES.items() for message in messages]


@pytest.mark.parametrize(("kind", "message"), CASES)
def test_message_is_read_as(kind: type[TandemError], message: str) -> None:
    error = read_failure("r1-int8", message)
    assert type(error) is kind
    assert error.message == f"r1-int8: {message}"


def test_every_alternative_of_every_row_has_a_message() -> None:
    for pattern, kind in ROWS:
        outside_of_groups = r"\|(?![^(]*\))"
        for alternative in re.split(outside_of_groups, pattern.pattern):
            assert any(re.search(alternative, message, re.IGNORECASE) for message in MESSAGES[kind]), (
                alternative
            )
