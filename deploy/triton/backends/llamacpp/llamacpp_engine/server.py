"""llama.cpp in this process: one model, many completions at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import xllamacpp

from .completion import Delta, read_chunk
from .errors import EngineError, SettingsError
from .settings import ModelSettings

_PROMPT_BATCH_TOKENS = 32
"""Prompt tokens computed in one step beside the running answers: more would make those wait longer."""


class LlamaServer:
    """A loaded model with continuous batching over its slots."""

    def __init__(self, settings: ModelSettings) -> None:
        self.context_tokens = settings.context_tokens
        try:
            self._server = xllamacpp.Server(_parameters(settings))
        except RuntimeError as error:
            raise SettingsError(
                f"llama.cpp can't load {settings.weights} ({error}): it must be a whole GGUF file, and memory "
                f"must hold it and the context of {settings.slots} × {settings.context_tokens} tokens"
            ) from error

    def complete(self, options: Mapping[str, Any], on_delta: Callable[[Delta], bool]) -> None:
        """Complete a prompt, blocking; `on_delta` returns True to stop. Raises EngineError."""
        failure: list[Exception] = []

        def on_chunk(chunk: Mapping[str, Any]) -> bool:
            # An exception must not travel through llama.cpp's own stack.
            try:
                return on_delta(read_chunk(chunk))
            except Exception as error:  # noqa: BLE001  # raised again below, whatever it is
                failure.append(error)
                return True

        try:
            self._server.handle_completions(dict(options), on_chunk)
        except RuntimeError as error:
            raise EngineError(f"llama.cpp could not answer: {error}") from error
        if failure:
            raise failure[0]


def _parameters(settings: ModelSettings) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(settings.weights)
    parameters.n_parallel = settings.slots
    parameters.n_ctx = settings.slots * settings.context_tokens
    # A cache shared by all slots needs less memory, but when it is full every running request fails.
    parameters.kv_unified = False
    parameters.n_batch = parameters.n_ubatch = settings.slots + _PROMPT_BATCH_TOKENS
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings.threads
    parameters.cache_ram_mib = 0  # else it keeps up to 8 GiB of old prompts
    parameters.fit_params = False  # it would shrink the context rather than say that memory is short
    parameters.verbosity = -1
    # The library always opens an HTTP port on loopback; nobody is to use it.
    parameters.n_threads_http = 1
    parameters.api_keys = [secrets.token_urlsafe()]
    return parameters
