"""Would catch: weights that are not counted, a shipped shape that its config.json does not give, a bad file taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.capacity.errors import BadPlan
from tandem.capacity.huggingface import read_config
from tandem.capacity.shape import Shape, load_models

# What decides the size in the files of the same names on Hugging Face.
CONFIGS = Path(__file__).parents[2] / "testdata" / "models"
# As the checkpoints' indexes have them, for R1 without the layer that predicts a second token.
PARAMETERS = {
    "deepseek-r1": 671_026_419_200,
    "deepseek-r1-distill-llama-70b": 70_553_706_496,
    "deepseek-r1-distill-qwen-32b": 32_763_876_352,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
}
# Llama 2 7B, without what it leaves to the defaults.
SMALL = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
}


def _read(folder: Path, config: dict[str, object]) -> Shape:
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return read_config(file)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameters_are_counted(name: str, parameters: int) -> None:
    assert read_config(CONFIGS / f"{name}.json").parameters == parameters


@pytest.mark.parametrize("name", PARAMETERS)
def test_shipped_shapes_are_those_of_the_configs(name: str) -> None:
    shipped = load_models().models[name].shape
    # A dense model has no count of active weights; R1's is what its authors state, rounded.
    computed = read_config(CONFIGS / f"{name}.json")
    assert computed.model_copy(update={"active_parameters": shipped.active_parameters}) == shipped


def test_experts_that_a_token_does_not_use_are_left_out_of_the_active_weights() -> None:
    active = read_config(CONFIGS / "deepseek-r1.json").active_parameters
    assert 37.0e9 < active < 38.0e9


def test_mixtral(tmp_path: Path) -> None:
    # 8 x 7B: 46.7 billion in all, 12.9 billion for a token, as its authors say (arXiv 2401.04088).
    sizes = {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
    experts = {
        "intermediate_size": 14336,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 32000,
    }
    shape = _read(tmp_path, {"model_type": "mixtral", **sizes, **experts})
    assert round(shape.parameters / 1e9, 1) == 46.7
    assert round(shape.active_parameters / 1e9, 1) == 12.9


def test_norms_of_queries_and_keys(tmp_path: Path) -> None:
    """Qwen3 0.6B, whose heads are wider than their part of the hidden state: every matrix of a layer written out."""
    sizes = {
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
    queries, keys, values, out = 1024 * 2048, 1024 * 1024, 1024 * 1024, 2048 * 1024
    layer = queries + keys + values + out + 128 + 128 + 3 * 1024 * 3072 + 1024 + 1024
    shape = _read(tmp_path, {"model_type": "qwen3", **sizes})
    assert shape.parameters == 28 * layer + 151936 * 1024 + 1024 == 596_049_920


def test_without_grouped_heads_there_are_as_many_for_keys_and_values(tmp_path: Path) -> None:
    # 6,738,415,616 as its index has it.
    shape = _read(tmp_path, {**SMALL, "num_key_value_heads": None})
    assert (shape.parameters, shape.kv_heads, shape.head_size) == (6_738_415_616, 32, 128)


def test_queries_that_are_not_compressed(tmp_path: Path) -> None:
    """Moonlight 16B: every matrix of a layer written out."""
    sizes = {
        "hidden_size": 2048,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "intermediate_size": 11264,
        "vocab_size": 163840,
    }
    experts = {
        "moe_intermediate_size": 1408,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
    }
    attention = [(2048, 16 * 192), (2048, 512 + 64), (512, 16 * 256), (16 * 128, 2048), (512, 1), (2, 2048)]
    expert, router = [(2048, 1408)] * 3, [(2048, 64), (64, 1)]
    layers = 27 * attention + [(2048, 11264)] * 3 + 26 * (66 * expert + router)
    shape = _read(tmp_path, {"model_type": "deepseek_v3", **sizes, **experts})
    assert shape.parameters == sum(a * b for a, b in [*layers, (2 * 163840 + 1, 2048)])
    assert round(shape.parameters / 1e9) == 16
    assert shape.kv_rank == 576


def test_shared_tables_are_counted_once(tmp_path: Path) -> None:
    config = json.loads((CONFIGS / "deepseek-r1-distill-qwen-7b.json").read_text())
    tied = _read(tmp_path, {**config, "tie_word_embeddings": True})
    assert PARAMETERS["deepseek-r1-distill-qwen-7b"] - tied.parameters == 152_064 * 3584


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "model_type is None"),
        ('{"model_type": "gpt_bigcode"}', "'gpt_bigcode'"),
        ('{"model_type": "llama"}', "lacks 'hidden_size'"),
        ('{"model_type": "llama", "hidden_size": "x"}', "hidden_size is 'x', but must be a whole number"),
        ('{"model_type": "llama", "hidden_size": 4096.0}', "hidden_size is 4096.0"),
        ('{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 0}', "num_attention_heads is 0"),
        (json.dumps(SMALL | {"vocab_size": 10**8}), "vocabulary: Input should be less than or equal"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(BadPlan, match=said) as caught:
        read_config(file)
    assert str(file) in str(caught.value)
