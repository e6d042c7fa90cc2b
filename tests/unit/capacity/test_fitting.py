"""Would catch: a formula that counts too little, a layout that cannot be, a remedy that does not help.

Expected sizes are computed here in fractions and floats, from the models' papers and not from the code's formulas.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.capacity.fitting import (
    TierPlan,
    gb,
    most_sequences,
    nodes_needed,
    powers_of_two,
    refusal,
    remedies,
)
from tandem.capacity.memory import Layout, Load, Precision, need
from tandem.capacity.nodes import load_nodes
from tandem.capacity.shape import Shape, load_models

MODELS = {name: model.shape for name, model in load_models().models.items()}
NODES = load_nodes().nodes


def tier(
    model: str = "deepseek-r1-distill-qwen-32b",
    node: str = "p4d.24xlarge",
    precision: Precision = "bf16",
    context: int = 8192,
    concurrency: int = 8,
    tensor: int = 8,
    pipeline: int = 1,
) -> TierPlan:
    load = Load(precision, precision, context, concurrency)
    return TierPlan("r1", node, NODES[node], MODELS[model], [load], Layout(tensor, pipeline))


# Bytes of the whole model's weights, and of the cache of one token over all layers, as anyone would count them.
WEIGHTS: dict[tuple[str, Precision], int | Fraction] = {
    ("deepseek-r1-distill-llama-70b", "bf16"): 2 * 70_553_706_496,
    ("deepseek-r1-distill-qwen-32b", "fp16"): 2 * 32_763_876_352,
    ("deepseek-r1-distill-qwen-7b", "fp32"): 4 * 7_615_616_512,
    ("gpt-3-175b", "fp16"): 350 * 10**9,
    ("nemotron-4-340b", "bf16"): 680 * 10**9,
    # Eight bits, but for the two tables of 129,280 tokens by 7168, which stay at sixteen.
    ("deepseek-r1", "fp8"): 671_026_419_200 + 2 * 129_280 * 7168,
    # 4.25 bits: four, and 32 for every 128.
    ("deepseek-r1-distill-qwen-7b", "int4"): Fraction(17, 32) * (7_615_616_512 - 2 * 152_064 * 3584)
    + 2 * 2 * 152_064 * 3584,
}
CACHE_OF_A_TOKEN = {
    "deepseek-r1-distill-llama-70b": 80 * 8 * 128 * 2 * 2,
    "deepseek-r1-distill-qwen-32b": 64 * 8 * 128 * 2 * 2,
    "deepseek-r1-distill-qwen-7b": 28 * 4 * 128 * 2 * 2,
    "gpt-3-175b": 96 * 12288 * 2 * 2,
    "nemotron-4-340b": 96 * 8 * 192 * 2 * 2,
    "deepseek-r1": 61 * (512 + 64) * 2,
}


@pytest.mark.parametrize(("model", "precision"), WEIGHTS)
def test_weights(model: str, precision: Precision) -> None:
    expected = WEIGHTS[model, precision]
    whole = need(MODELS[model], Load("", precision, 1, 1), Layout(1, 1)).weights
    assert whole == math.ceil(expected / 10**6)
    eighth = need(MODELS[model], Load("", precision, 1, 1), Layout(4, 1)).weights
    assert eighth == math.ceil(expected / 4 / 10**6)


@pytest.mark.parametrize("model", CACHE_OF_A_TOKEN)
def test_cache(model: str) -> None:
    load = Load("", "bf16", 4096, 10)
    whole = CACHE_OF_A_TOKEN[model] * 40_960
    assert need(MODELS[model], load, Layout(1, 1)).kv_cache == math.ceil(whole / 10**6)
    # A GPU of four holds a fourth of the heads; of MLA's compressed cache all of it.
    part = whole if model == "deepseek-r1" else whole / 4
    assert need(MODELS[model], load, Layout(4, 1)).kv_cache == math.ceil(part / 10**6)


def test_a_head_of_keys_is_never_cut() -> None:
    # Four KV heads on eight GPUs: each GPU holds one, so every one is there twice.
    shape = MODELS["deepseek-r1-distill-qwen-7b"].model_copy(update={"heads": 32})
    load = Load("", "bf16", 4096, 10)
    assert need(shape, load, Layout(8, 1)).kv_cache == need(shape, load, Layout(4, 1)).kv_cache


def test_activations_and_runtime() -> None:
    found = need(MODELS["deepseek-r1-distill-qwen-32b"], Load("", "bf16", 8192, 10), Layout(4, 1))
    assert found.activations == math.ceil((8192 * 5120 * 2 * 8 + 10 * 152_064 * 4) / 10**6)
    assert found.runtime == math.ceil(1.5 * 2**30 / 10**6)


def test_the_fullest_stage_counts() -> None:
    # 61 layers over two nodes: 31 and 30, each with the table of one end.
    shape = MODELS["deepseek-r1"]
    table = 129_280 * 7168
    layer = Fraction(shape.parameters - 2 * table, 61)
    found = need(shape, Load("", "bf16", 1000, 1), Layout(8, 2))
    assert found.weights == math.ceil((31 * layer + table) * 2 / 8 / 10**6)
    assert found.kv_cache == math.ceil(31 * 576 * 2 * 1000 / 10**6)


@pytest.mark.parametrize(
    ("model", "precision", "total"), [("nemotron-4-340b", "bf16", 680), ("gpt-3-175b", "fp16", 350)]
)
def test_a_node_of_a100s_refuses_the_large_ones(model: str, precision: Precision, total: int) -> None:
    plan = tier(model, precision=precision, context=2048, concurrency=1)
    words = refusal(plan)
    assert not plan.fits
    assert f"weights {total / 8:.3f}"[:-1] in words
    assert words.startswith("tier r1 does not fit on p4d.24xlarge: needs ")
    assert "has 309.232 GB (8 × " in words
    assert "; what would fit: int" in words


def test_int8_of_175_billion_fits_on_a_node() -> None:
    assert tier("gpt-3-175b", precision="int8", context=2048, concurrency=2).fits


def test_r1_fits_on_eight_h200_at_its_own_precision() -> None:
    # 84 GB of weights on a GPU, and the caches of sixteen sequences, 37 GB, whole on each.
    plan = tier("deepseek-r1", "p5en.48xlarge", "fp8", 32768, 16)
    assert plan.fits
    assert not replace(plan, node=NODES["p5.48xlarge"]).fits


@pytest.mark.parametrize(
    ("model", "tensor", "pipeline", "said"),
    [
        ("deepseek-r1", 16, 1, "tensor 16 is more than the 8 GPUs of a node"),
        ("deepseek-r1-distill-qwen-7b", 8, 1, "tensor 8 does not divide 28 heads"),
        ("deepseek-r1-distill-qwen-7b", 7, 1, "tensor 7 and 4 KV heads do not divide each other"),
        ("deepseek-r1-distill-qwen-7b", 4, 29, "pipeline 29 is more than 28 layers"),
    ],
)
def test_layouts_that_cannot_be(model: str, tensor: int, pipeline: int, said: str) -> None:
    plan = tier(model, tensor=tensor, pipeline=pipeline)
    assert not plan.fits
    assert refusal(plan).startswith(f"tier r1 does not fit on p4d.24xlarge: {said}; what would fit: ")


def test_variants_share_the_gpus() -> None:
    one = tier(tensor=4, concurrency=20)
    both = replace(one, loads=[*one.loads, Load("int8", "int8", 8192, 20)])
    assert one.fits
    assert not both.fits
    assert both.needs_mb == one.needs_mb + need(one.shape, both.loads[1], one.layout).total
    assert "only the variant bf16" in remedies(both)


def test_gb_is_exact() -> None:
    assert (gb(0), gb(1), gb(38_654)) == ("0.000 GB", "0.001 GB", "38.654 GB")


def test_nodes_are_filled() -> None:
    wide = replace(tier(tensor=8), replicas=1)
    narrow = replace(tier(tensor=4), replicas=3)
    spread = replace(tier(node="p5.48xlarge", tensor=8, pipeline=2), replicas=2)
    assert nodes_needed([narrow, wide, spread]) == {"p4d.24xlarge": 3, "p5.48xlarge": 4}


plans = st.builds(
    tier,
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(sorted(NODES)),
    st.sampled_from(["fp32", "bf16", "fp8", "int8", "int4"]),
    st.integers(1, 200_000),
    st.integers(1, 1000),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 4),
)


@given(plans)
def test_every_remedy_is_one(plan: TierPlan) -> None:
    words = refusal(plan)
    assert bool(words) == (not plan.fits)
    if words:
        assert words.endswith(", or ".join(remedies(plan)) or "nothing on this type of node")


@given(plans)
def test_the_most_sequences_fit_and_one_more_does_not(plan: TierPlan) -> None:
    most = most_sequences(plan, 0)
    assert most == 0 or _with(plan, most).fits
    assert not _with(plan, most + 1).fits
    assert plan.fits == (plan.loads[0].concurrency <= most)


def _with(plan: TierPlan, concurrency: int) -> TierPlan:
    return replace(plan, loads=[replace(plan.loads[0], concurrency=concurrency)])


@given(plans, st.integers(1, 100))
def test_more_is_never_less(plan: TierPlan, more: int) -> None:
    load = plan.loads[0]
    longer = replace(plan, loads=[replace(load, context=load.context + more)])
    wider = replace(plan, loads=[replace(load, concurrency=load.concurrency + more)])
    assert plan.needs_mb <= min(longer.needs_mb, wider.needs_mb)


def test_powers_of_two() -> None:
    assert [powers_of_two(most) for most in (1, 7, 8)] == [[1], [1, 2, 4], [1, 2, 4, 8]]


def test_shapes_know_what_they_lack() -> None:
    whole = MODELS["gpt-3-175b"]
    assert whole.problem() == ""
    assert "kvRank" in Shape.model_validate({**whole.model_dump(), "kv_heads": 0}).problem()
