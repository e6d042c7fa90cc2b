"""Reads the shape of a model from its `config.json`, as Hugging Face's repositories have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tandem.capacity.errors import BadPlan
from tandem.capacity.shape import Shape

_BIASED: Final = frozenset({"qwen2"})
"""Types whose queries, keys and values have biases."""
_DENSE: Final = frozenset({"llama", "mistral", "qwen2"})
_TYPES: Final = (*sorted(_DENSE), "mixtral", "deepseek_v3")


def read_config(file: Path) -> Shape:
    """Return the shape that a `config.json` describes; its parameters are counted from its sizes.

    Raises:
        BadPlan: it is no such file, or of a type whose parameters cannot be counted.
        OSError: it cannot be read.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadPlan(f"{file}: is not JSON ({error}); name a model's config.json") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _TYPES:
        raise BadPlan(
            f"{file}: model_type is {kind!r}; its weights can be counted for {', '.join(_TYPES)}. "
            "Give the shape of any other model as numbers under tiers.NAME.model.shape of the chart's values"
        )
    try:
        return _deepseek(config) if kind == "deepseek_v3" else _with_heads(config)
    except KeyError as error:
        raise BadPlan(f"{file}: lacks {error}; name the whole config.json of the model") from None
    except (TypeError, ValidationError) as error:
        raise BadPlan(f"{file}: has sizes that are not whole numbers ({error})") from None


def _with_heads(config: Mapping[str, Any]) -> Shape:
    """Llama and its relatives: grouped heads and a gated feed-forward part, or several of them as experts."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_size = config.get("head_dim") or hidden // heads
    projected = (heads + 2 * kv_heads) * head_size
    attention = hidden * projected + heads * head_size * hidden
    biases = projected if config["model_type"] in _BIASED else 0
    experts = config["num_local_experts"] if config["model_type"] == "mixtral" else 0
    expert = 3 * hidden * config["intermediate_size"]
    unused = (experts - config["num_experts_per_tok"]) * expert if experts else 0
    layer = attention + biases + 2 * hidden + max(experts, 1) * expert + experts * hidden
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


def _deepseek(config: Mapping[str, Any]) -> Shape:
    """DeepSeek-V3 and R1: compressed keys and values (MLA), and many small experts after the first layers."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    expert = 3 * hidden * config["moe_intermediate_size"]
    routed, dense = config["n_routed_experts"], config["first_k_dense_replace"]
    sparse_layer = (routed + config["n_shared_experts"]) * expert + routed * hidden + routed
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


def _mla(config: Mapping[str, Any]) -> int:
    """Weights of one layer's attention: down, norm and up for queries, likewise for keys and values, and out."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    q_rank, kv_rank = config["q_lora_rank"], config["kv_lora_rank"]
    plain, rotated, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    queries = hidden * q_rank + q_rank + q_rank * heads * (plain + rotated)
    keys_and_values = hidden * (kv_rank + rotated) + kv_rank + kv_rank * heads * (plain + value)
    return int(queries + keys_and_values + heads * value * hidden)


def _ends(config: Mapping[str, Any]) -> int:
    """Weights outside of the layers: the last norm, the table of tokens, and the scores unless they share it."""
    tables = 1 if config.get("tie_word_embeddings") else 2
    return int(config["hidden_size"] * (1 + tables * config["vocab_size"]))
