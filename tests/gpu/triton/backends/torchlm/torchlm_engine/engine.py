"""The engine: completes prompts with the network, all computing in one thread, all memory from torch."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from llamacpp_engine.completion import Delta, TokenLogprob
from llamacpp_engine.errors import EngineError, RequestError

from .language import read, wanted_words, word
from .network import Network
from .sequence import Sequence
from .settings import Settings


class TorchEngine:
    """`llamacpp_engine.completion.Engine` on torch.

    Args:
        settings: of the model.
        device: as torch names it.
    """

    def __init__(self, settings: Settings, device: str) -> None:
        self.context_tokens = settings.context_tokens
        self._settings = settings
        self._device = device
        # One thread: what cuBLAS and the caching allocator keep for a thread, they then keep once.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="computing")
        self._slots: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._computing.submit(self._load).result()

    def complete(self, options: Mapping[str, Any], on_delta: Callable[[Delta], bool]) -> None:
        """Complete a prompt, blocking; `on_delta` returns True to stop. Raises EngineError."""
        prompt, limit = options["prompt"], options["n_predict"]
        tokens = read(prompt)
        room = self.context_tokens - len(tokens)
        if room < 1:
            raise RequestError(f"prompt has {len(tokens)} tokens, context holds {self.context_tokens}")
        slot = self._slots.get()
        try:
            most = min(limit, room) if limit > 0 else room
            self._answer(tokens, slot, (wanted_words(prompt), most), on_delta)
        finally:
            self._computing.submit(self._release, slot).result()

    def close(self) -> None:
        """End the computing thread."""
        self._computing.shutdown()

    def _answer(
        self, tokens: list[int], slot: list[Any], ends: tuple[int, int], on_delta: Callable[[Delta], bool]
    ) -> None:
        sequence = Sequence(self._network, self._page_tokens, slot)
        wanted, most = ends
        made, heard, due = 0, tokens, time.monotonic()
        while True:
            token, logprob = self._step(sequence, heard)
            made, heard = made + 1, [token]
            finish = "stop" if token >= wanted - 1 else "length" if made == most else None
            entry = TokenLogprob(token, word(token), logprob)
            if on_delta(Delta(entry.token, made, len(tokens), (entry,), finish)) or finish:
                return
            due += self._settings.pace_ms / 1000
            time.sleep(max(0.0, due - time.monotonic()))

    def _step(self, sequence: Sequence, tokens: list[int]) -> tuple[int, float]:
        failure = ""
        try:
            return self._computing.submit(sequence.step, tokens).result()
        except RuntimeError as error:
            # The words of the vLLM backend. Raised outside: the traceback of torch's error holds on to memory.
            failure = f"Error generating stream: {error}"
        raise EngineError(failure)

    @property
    def _page_tokens(self) -> int:
        settings = self._settings
        return settings.context_tokens if settings.resident else settings.page_tokens

    def _load(self) -> None:
        self._network = Network(self._settings.heads, self._settings.weights, self._device)
        for _ in range(self._settings.slots):
            slot = [self._network.new_page(self._page_tokens)] if self._settings.resident else []
            self._slots.put(slot)
        self._warm_up()

    def _warm_up(self) -> None:
        """Take every step once: CUDA loads a kernel, and takes memory for it, when it is first used."""
        slot = self._slots.get()
        sequence = Sequence(self._network, self._page_tokens, slot)
        heard = list(range(100))
        while heard[0] < self._settings.context_tokens - 200:
            heard = [sequence.step(heard)[0]]
        self._release(slot)

    def _release(self, slot: list[Any]) -> None:
        """Give the memory of an answer back to the card, unless it is resident."""
        if not self._settings.resident:
            slot.clear()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        self._slots.put(slot)
