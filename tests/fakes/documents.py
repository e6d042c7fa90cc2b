"""A small catalogue and a small policy whose numbers are easy to calculate with."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from tandem.catalogue import Catalogue
from tandem.orchestrator.policy import Policy

TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def _variant(model: str, ttft_ms: float, tpot_ms: float) -> dict[str, Any]:
    latency = {"ttft_ms": ttft_ms, "tpot_ms": tpot_ms}
    return {"model": model, "signature": "vllm", "context_tokens": 2048, "latency": latency}


_CATALOGUE: dict[str, Any] = {
    "version": 1,
    "chat_templates": {"plain": TEMPLATE},
    "tiers": {
        "r1": {
            "reasoning": {"open": "<think>", "close": "</think>"},
            "modalities": ["text"],
            "price": {"input_usd_per_million_tokens": 0.1, "output_usd_per_million_tokens": 0.3},
            "chat_template": "plain",
            "stop": ["<end>"],
            "variants": {"fp16": _variant("r1", 100, 10), "int8": _variant("r1-int8", 50, 5)},
        },
        "pro": {
            "modalities": ["text", "image"],
            "price": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 3},
            "chat_template": "plain",
            "variants": {"bf16": _variant("pro", 200, 20)},
        },
    },
}

_POLICY: dict[str, Any] = {
    "version": 1,
    "deadline": {
        "default_ms": 20000,
        "max_ms": 60000,
        "margin_ms": 10,
        "fallback_tokens": 100,
        "reserve_share": 0.5,
    },
    "routing": {"cheap": "r1", "strong": "pro", "threshold": 0.7, "undecided": "r1"},
    "ensemble": {"targets": ["r1", "pro"]},
    "classifier": {"allowance_ms": 50},
    "fallbacks": [
        {"from": "pro", "on": "timeout", "to": ["r1"], "max_tokens": 256},
        {"from": "r1", "on": "timeout", "to": ["pro", "r1/int8"], "max_tokens": 256},
        {"from": "pro", "on": "out_of_memory", "to": ["r1/int8"]},
        {"from": "r1", "on": "out_of_memory", "to": ["r1/int8"]},
        {"from": "pro", "on": "unavailable", "to": ["r1"]},
        {"from": "r1", "on": "unavailable", "to": ["pro", "r1/int8"]},
    ],
    "entitlements": {"default": ["r1", "pro"], "tenants": {"cheap": ["r1"], "strong": ["pro"]}},
}


def catalogue(changes: Mapping[str, Any] | None = None) -> Catalogue:
    """Return the catalogue with changes, each `a.b.c: value`."""
    return Catalogue.model_validate_json(json.dumps(_changed(_CATALOGUE, changes)))


def policy(changes: Mapping[str, Any] | None = None) -> Policy:
    """Return the policy with changes, each `a.b.c: value`."""
    return Policy.model_validate_json(json.dumps(_changed(_POLICY, changes)))


def _changed(document: dict[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        section = changed
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return changed
