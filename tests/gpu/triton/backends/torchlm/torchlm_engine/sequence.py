"""One sequence under way: its tokens in the cache, page by page."""

from __future__ import annotations

from typing import Any

from .network import CHUNK, Network


class Sequence:
    """The cache of one answer.

    Args:
        network: the model.
        page_tokens: tokens in a page, a multiple of CHUNK.
        pages: memory that is there already; more is allocated when it is full.
    """

    def __init__(self, network: Network, page_tokens: int, pages: list[Any]) -> None:
        self._network = network
        self._page_tokens = page_tokens
        self._pages = pages
        self._length = 0

    def step(self, tokens: list[int]) -> tuple[int, float]:
        """Read tokens into the cache and return the one that follows, and its log-probability."""
        vector = None
        for start in range(0, len(tokens), CHUNK):
            vector = self._read(tokens[start : start + CHUNK])
        used = -(-self._length // self._page_tokens)
        return self._network.predict(vector, self._pages[:used], self._length)

    def _read(self, tokens: list[int]) -> Any:
        """Write keys and values of up to CHUNK tokens; returns the vector of the last one."""
        embedded = self._network.embed(tokens)
        made = self._network.keys_values(embedded)
        begin = 0
        while begin < len(tokens):
            page, at = divmod(self._length, self._page_tokens)
            if page == len(self._pages):
                self._pages.append(self._network.new_page(self._page_tokens))
            count = min(len(tokens) - begin, self._page_tokens - at)
            self._pages[page][:, :, at : at + count] = made[:, :, begin : begin + count]
            begin += count
            self._length += count
        return embedded[len(tokens) - 1]
