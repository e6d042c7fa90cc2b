"""What Triton's error texts mean. One table; the first row that matches decides.

A text may quote the request ("sampling parameter stop is ['out of memory'] and must be …"), and a client must not be
able to make a healthy model look sick. So what stands in quotation marks is not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tandem.errors import BackendError, BackendUnavailable, OutOfMemory, PromptTooLong, TandemError
from tandem.quotations import without_quotations


@dataclass(frozen=True, slots=True)
class Row:
    """One form in which one kind of failure is reported."""

    form: str
    """Who says it, and about what; tests name their messages by it."""
    pattern: re.Pattern[str]
    kind: type[TandemError]


def _rows(kind: type[TandemError], **patterns: str) -> tuple[Row, ...]:
    return tuple(Row(form, re.compile(text, re.IGNORECASE), kind) for form, text in patterns.items())


_OUT_OF_MEMORY: Final = _rows(
    OutOfMemory,
    torch_device=r"\b(CUDA|HIP|XPU|MPS backend|NPU) out of memory",
    torch_class=r"OutOfMemoryError\b",
    torch_async_allocator=r"allocation on device \d+ would exceed allowed memory",
    torch_host=r"DefaultCPUAllocator: (can't allocate|not enough) memory|\[enforce fail at alloc_cpu|"
    r"not enough memory: you tried to allocate",
    cuda_runtime=r"\b(CUDA|HIP|ROCm)( runtime| driver)? error( in [^\n]*)?: out of memory",
    cuda_names=r"cudaErrorMemoryAllocation|hipErrorOutOfMemory|CUDA_ERROR_OUT_OF_MEMORY|CUDA failure 2\b",
    cuda_libraries=r"(CUBLAS|HIPBLAS|CUDNN|MIOPEN|CUSPARSE|CUSOLVER|CUFFT)_(STATUS_)?(INTERNAL_ERROR_\w*)?ALLOC\w*_?FAILED",
    nccl=r"failed to CUDA (c|m)alloc",
    ggml_malloc=r"(cuda|hip|musa)Malloc\w* failed: out of memory|failed to allocate [\d.,]+ MiB of pinned memory",
    ggml_buffer=r"(failed|unable) to allocate (\w+ )?buffer\b",
    llama_context=r"failed to allocate (compute|memory for the kv cache|buffer for kv cache)",
    llama_slots=r"failed to find (a memory slot|free space in the KV cache)|could not find a KV (cache )?slot",
    vulkan=r"ErrorOutOf(Device|Host)Memory|VK_ERROR_OUT_OF_(DEVICE|HOST)_MEMORY|"
    r"device memory allocation of size \d+ failed",
    metal=r"CallbackErrorOutOfMemory|insufficient memory \(",
    python=r"MemoryError\b",
    numpy=r"unable to allocate [\d.]+ ([KMGTP]i)?B for an array",
    cpp=r"\bbad_(array_new_length|alloc)\b",
    kernel=r"\[errno 12\]|cannot allocate memory|\bENOMEM\b|\bOOM[ -]?kill(ed|er)",
    triton_shared_memory=r"failed to increase the shared memory pool size|run out of shared memory|"
    r"unable to (initialize|create|grow) shared memory",
    triton_allocation=r"failed to allocate (\w+ ){0,3}memory\b|CNMEM_STATUS_OUT_OF_MEMORY",
    tensorrt=r"\boutofmemory \(|error code \d+: outofmemory\b|cuda runtime \(out of memory\)",
    tensorflow=r"\bOOM when allocating tensor",
    onnxruntime=r"available memory of \d+ is smaller than requested bytes",
    xla=r"out of memory while trying to allocate [\d.]+ ?([KMGT]i)?(B|bytes)\b",
    cupy=r"out of memory allocating [\d,]+ bytes",
    vllm_cache=r"no available memory for the cache blocks|larger than the available KV cache memory|"
    r"maximum number of tokens that can be stored in KV cache|"
    r"free memory on device .{1,60} on startup is less than desired",
)

_PROMPT_TOO_LONG: Final = _rows(
    PromptTooLong,
    tandem_llamacpp=r"prompt has \d+ tokens, context holds \d+",
    vllm_prompt=r"prompt \(length \d+\) is longer than the maximum model length",
    vllm_input=r"prompt \(\d+ tokens\) is too long and exceeds limit",
    context_length=r"maximum context length is \d+ tokens",
    llama_context_size=r"exceeds the available context size|context size has been exceeded",
    llama_batch=r"input is too large to process",
    tensorrt_llm=r"prompt length \(\d+\) exceeds (the )?maximum input length",
)

_UNAVAILABLE: Final = _rows(
    BackendUnavailable,
    triton_stub=r"stub process\b.*(is not healthy|is unhealthy|exited)|failed to initialize stub|"
    r"waiting for the stub process",
    triton_model=r"request for unknown model|is not at ready state|has no available versions|model is not ready",
    triton_unloading=r"is unloading|has stopped accepting|stopping, scheduler",
    triton_exiting=r"server exiting|server is (shutting down|stopping|not ready)",
    triton_queue=r"exceeds maximum queue size|request timeout expired",
    vllm_engine=r"EngineDeadError\b|background loop (is not running|has errored)|engine loop (is not running|has died)|"
    r"the engine is not running|engine iteration timed out|engine ?core (encountered an issue|initialization failed)",
    vllm_process=r"died unexpectedly|engine process (failed|died)|task finished unexpectedly|worker failed with error",
    ray=r"(Ray)?Actor(Died|Unavailable)?Error: the actor",
    device=r"\b(CUDA|HIP) (driver |runtime )?error\b|\bNCCL error\b|DeviceLost|unable to initialize backend\b|"
    r"CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)|CUFFT_(EXEC_FAILED|INTERNAL_ERROR)",
    llama_compute=r"could not answer: compute error|failed to decode, ret = -",
    process=r"segmentation fault|killed by signal \d+|exit ?code:? -?\d+$",
    connection=r"failed to connect to all addresses|connection (refused|reset|closed)|broken pipe|socket closed|"
    r"temporarily unavailable",
)

ROWS: Final = (*_OUT_OF_MEMORY, *_PROMPT_TOO_LONG, *_UNAVAILABLE)


def read_failure(model: str, message: str) -> TandemError:
    """Return the error that a text of Triton's stands for; BackendError where no row matches."""
    said = without_quotations(message)
    for row in ROWS:
        if row.pattern.search(said):
            return row.kind(f"{model}: {message}")
    return BackendError(f"{model}: {message}")
