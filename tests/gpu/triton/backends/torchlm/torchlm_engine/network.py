"""The network: one layer of attention over an embedding, and a head that says the word after the one it hears.

What it says is decided by the embedding, so that it is the same in every variant; attention reads the whole cache for
every token, as in any transformer, and adds a tenth.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from .language import TOKENS, successor

WIDTH: Final = 256
HEAD: Final = 128
CHUNK: Final = 16
"""Tokens that are read in one step, padded if there are fewer: steps of one shape need no memory of their own."""
ATTENTION_SHARE: Final = 0.1
SHARPNESS: Final = 20.0


class Matrix:
    """A weight matrix in bf16, or in int8 with one scale."""

    def __init__(self, values: Any, kind: str) -> None:
        self._scale = float(values.abs().max()) / 127 if kind == "int8" else None
        self._values = (
            (values / self._scale).round().to(torch.int8) if self._scale else values.to(torch.bfloat16)
        )

    def full(self) -> Any:
        """Return the matrix in bf16."""
        return self._values if self._scale is None else self._values.to(torch.bfloat16) * self._scale

    def rows(self, indices: Any) -> Any:
        """Return some rows in bf16."""
        found = self._values[indices]
        return found if self._scale is None else found.to(torch.bfloat16) * self._scale


class Network:
    """The weights of one model on one device, and one step with them."""

    def __init__(self, heads: int, kind: str, device: str) -> None:
        self.heads = heads
        self.device = device
        # Made on the processor, so that all variants on all devices speak with the same one.
        embedding = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
        self._embedding = Matrix(torch.nn.functional.normalize(embedding).to(device), kind)
        self._query, self._key, self._value = (
            Matrix(self._random(WIDTH, heads * HEAD, seed), kind) for seed in (1, 2, 3)
        )
        self._output = Matrix(self._random(heads * HEAD, WIDTH, seed=4), kind)

    def _random(self, rows: int, columns: int, seed: int) -> Any:
        generator = torch.Generator(self.device).manual_seed(seed)
        made = torch.randn(rows, columns, generator=generator, device=self.device, dtype=torch.bfloat16)
        return made.mul_(rows**-0.5)

    def new_page(self, tokens: int) -> Any:
        """Allocate memory for the keys and values of some tokens."""
        return torch.zeros(2, self.heads, tokens, HEAD, dtype=torch.bfloat16, device=self.device)

    def embed(self, tokens: list[int]) -> Any:
        """Return the vectors of up to CHUNK tokens, padded to CHUNK."""
        padded = tokens + [0] * (CHUNK - len(tokens))
        return self._embedding.rows(torch.tensor(padded, device=self.device))

    def keys_values(self, embedded: Any) -> Any:
        """Return keys and values of embedded tokens: 2 x heads x CHUNK x HEAD."""
        both = torch.stack([embedded @ self._key.full(), embedded @ self._value.full()])
        return both.view(2, CHUNK, self.heads, HEAD).transpose(1, 2)

    def predict(self, vector: Any, pages: list[Any], length: int) -> tuple[int, float]:
        """Return the token that follows, and its log-probability.

        Args:
            vector: the last token's, WIDTH values.
            pages: the cache, of which the first `length` tokens count.
            length: tokens in the cache, the last one included.
        """
        attended = self._attend(vector, pages, length) @ self._output.full()
        heard = vector + ATTENTION_SHARE * torch.nn.functional.normalize(attended, dim=0)
        logprobs = torch.log_softmax(SHARPNESS * (self._embedding.full() @ heard).float(), dim=0)
        best = logprobs.argmax()
        return successor(int(best.item())), float(logprobs[best].item())

    def _attend(self, vector: Any, pages: list[Any], length: int) -> Any:
        query = (vector @ self._query.full()).view(self.heads, 1, HEAD) * HEAD**-0.5
        scores = torch.cat([torch.bmm(query, page[0].transpose(1, 2)) for page in pages], dim=2)
        beyond = torch.arange(scores.shape[2], device=self.device) >= length
        weights = torch.softmax(scores.float().masked_fill_(beyond, float("-inf")), dim=2)
        parts = weights.to(torch.bfloat16).split(pages[0].shape[2], dim=2)
        attended = torch.zeros(self.heads, 1, HEAD, dtype=torch.bfloat16, device=self.device)
        for part, page in zip(parts, pages, strict=True):
            attended += torch.bmm(part, page[1])
        return attended.reshape(self.heads * HEAD)
