"""Reads the shape of a model from its `config.json`, as Hugging Face's repositories have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tandem.capacity.errors import BadPlan
from tandem.capacity.shape import Shape
from tandem.capacity.values import explained

_BIASED: Final = frozenset({"qwen2"})
"""Types whose queries, keys and values have biases."""
_NORMED: Final = frozenset({"qwen3"})
"""Types that norm each head's queries and keys."""
_DENSE: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_TYPES: Final = (*sorted(_DENSE), "mixtral", "deepseek_v3")


def read_config(file: Path) -> Shape:
    """Return the shape that a `config.json` describes; its parameters are counted from its sizes.

    Raises:
        BadPlan: it is no such file, or of a type whose parameters cannot be counted.
        OSError: it cannot be read.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"{file}: is not JSON ({error}); name a model's config.json") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _TYPES:
        raise BadPlan(
            f"{file}: model_type is {kind!r}; its weights can be counted for {', '.join(_TYPES)}. "
            "Give the shape of any other model as numbers under tiers.NAME.model.shape of the chart's values"
        )
    try:
        return _deepseek(_Sizes(config)) if kind == "deepseek_v3" else _with_heads(_Sizes(config), kind)
    except KeyError as error:
        raise BadPlan(f"{file}: lacks {error}; name the whole config.json of the model") from None
    except ValidationError as error:
        raise BadPlan(f"{file}: {explained(error)}") from None
    except _NoSize as error:
        raise BadPlan(f"{file}: {error}") from None


class _NoSize(Exception):
    """A size is none."""


class _Sizes:
    """The sizes in a `config.json`: whole numbers above zero."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def __getitem__(self, name: str) -> int:
        return self._size(name, self._config[name], 1)

    def get(self, name: str, otherwise: int) -> int:
        """Return a size that may be absent; null and zero, too, mean that it is not given."""
        value = self._config.get(name)
        return otherwise if value is None else self._size(name, value, 0) or otherwise

    @property
    def tables(self) -> int:
        """Tables of tokens: the scores may share that of the beginning."""
        return 1 if self._config.get("tie_word_embeddings") else 2

    @staticmethod
    def _size(name: str, value: object, least: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise _NoSize(f"{name} is {value!r}, but must be a whole number of {least} or more")
        return value


def _with_heads(config: _Sizes, kind: str) -> Shape:
    """Llama and its relatives: grouped heads and a gated feed-forward part, or several of them as experts."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_size = config.get("head_dim", hidden // heads)
    projected = (heads + 2 * kv_heads) * head_size
    attention = hidden * projected + heads * head_size * hidden
    small = projected if kind in _BIASED else 2 * head_size if kind in _NORMED else 0
    experts = config["num_local_experts"] if kind == "mixtral" else 0
    expert = 3 * hidden * config["intermediate_size"]
    unused = (experts - config["num_experts_per_tok"]) * expert if experts else 0
    layer = attention + small + 2 * hidden + max(experts, 1) * expert + experts * hidden
    layers = config["num_hidden_layers"]
    parameters = layers * layer + _ends(config)
    return Shape(
        parameters=parameters,
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        vocabulary=config["vocab_size"],
        active_parameters=parameters - layers * unused if experts else 0,
    )


def _deepseek(config: _Sizes) -> Shape:
    """DeepSeek-V3 and R1: compressed keys and values (MLA), and many small experts after the first layers."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    expert = 3 * hidden * config["moe_intermediate_size"]
    routed, dense = config["n_routed_experts"], config.get("first_k_dense_replace", 0)
    sparse_layer = (routed + config.get("n_shared_experts", 0)) * expert + routed * hidden + routed
    always = layers * (_mla(config) + 2 * hidden) + dense * 3 * hidden * config["intermediate_size"]
    parameters = always + (layers - dense) * sparse_layer + _ends(config)
    unused = (routed - config["num_experts_per_tok"]) * expert
    return Shape(
        parameters=parameters,
        layers=layers,
        hidden_size=hidden,
        heads=config["num_attention_heads"],
        kv_rank=config["kv_lora_rank"] + config["qk_rope_head_dim"],
        vocabulary=config["vocab_size"],
        active_parameters=parameters - (layers - dense) * unused,
    )


def _mla(config: _Sizes) -> int:
    """Weights of one layer's attention: down, norm and up for queries, likewise for keys and values, and out.

    Queries are not compressed where their rank is null.
    """
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    q_rank, kv_rank = config.get("q_lora_rank", 0), config["kv_lora_rank"]
    plain, rotated, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    queries = (hidden * q_rank + q_rank if q_rank else 0) + (q_rank or hidden) * heads * (plain + rotated)
    keys_and_values = hidden * (kv_rank + rotated) + kv_rank + kv_rank * heads * (plain + value)
    return queries + keys_and_values + heads * value * hidden


def _ends(config: _Sizes) -> int:
    """Weights outside of the layers: the last norm, the table of tokens, and the scores unless they share it."""
    return config["hidden_size"] * (1 + config.tables * config["vocab_size"])
