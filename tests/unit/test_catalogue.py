"""Would catch a wrong price, a wrong prompt, a model that two variants share, or an unhelpful error."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tandem.catalogue import Catalogue, Price, load_catalogue
from tandem.errors import UnknownTier, UnknownVariant
from tandem.v1 import types_pb2
from tandem.yaml_document import DocumentError

SHIPPED = Path(__file__).parents[2] / "deploy" / "catalogue.yaml"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(SHIPPED)


def problems(tmp_path: Path, old: str, new: str) -> list[str]:
    """Return what is wrong with the shipped catalogue after a change."""
    text = SHIPPED.read_text()
    assert old in text
    file = tmp_path / "catalogue.yaml"
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DocumentError) as caught:
        load_catalogue(file)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def price(given_input: str, given_output: str) -> Price:
    return Price(
        input_usd_per_million_tokens=Decimal(given_input), output_usd_per_million_tokens=Decimal(given_output)
    )


# --- what is shipped


def test_the_shipped_catalogue_has_the_models_of_the_embedded_repository(catalogue: Catalogue) -> None:
    found = {
        (tier, name): variant.model
        for tier, form in catalogue.tiers.items()
        for name, variant in form.variants.items()
    }
    assert found == {("r1", "fp16"): "r1", ("r1", "int8"): "r1-int8", ("pro", "fp16"): "pro"}
    for model in found.values():
        settings = json.loads((SHIPPED.parent / "triton" / "models" / model / "1" / "model.json").read_text())
        (variant,) = (v for t in catalogue.tiers.values() for v in t.variants.values() if v.model == model)
        assert settings["context_tokens"] == variant.context_tokens
    assert catalogue.tier("r1").default_variant == "fp16"
    assert catalogue.tier("pro").modalities == (types_pb2.MODALITY_TEXT,)


@pytest.mark.parametrize("blocks", [False, True])
def test_the_shipped_template_makes_the_prompts_the_model_was_trained_on(
    catalogue: Catalogue, blocks: bool
) -> None:
    environment = ImmutableSandboxedEnvironment(trim_blocks=blocks, lstrip_blocks=blocks)
    template = environment.from_string(catalogue.chat_templates[catalogue.tier("r1").chat_template])
    question = {"role": "user", "content": " What is {{ 2 }}?\n"}
    assert template.render(messages=[question], add_generation_prompt=True) == (
        "<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n What is {{ 2 }}?\n<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    talk = [{"role": "system", "content": "Be brief."}, question, {"role": "assistant", "content": "二"}]
    assert template.render(messages=talk, add_generation_prompt=False) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n What is {{ 2 }}?\n<|im_end|>\n"
        "<|im_start|>assistant\n二<|im_end|>\n"
    )


# --- prices


@pytest.mark.parametrize(
    ("prices", "tokens", "nano_usd"),
    [
        (("0.10", "0.30"), (1000, 200), 160_000),
        (("1.00", "3.00"), (0, 1), 3_000),
        (("0", "0"), (5, 5), 0),
        (("0.0005", "0"), (1, 0), 0),
        (("0.0005", "0"), (3, 0), 2),
        (("0.000001", "1000000"), (1, 4_294_967_295), 4_294_967_295_000_000_000),
    ],
)
def test_costs(prices: tuple[str, str], tokens: tuple[int, int], nano_usd: int) -> None:
    assert price(*prices).cost_nano_usd(*tokens) == nano_usd


_prices = st.decimals(min_value=0, max_value=1_000_000, places=6)
_tokens = st.integers(min_value=0, max_value=2**32 - 1)


@given(_prices, _prices, _tokens, _tokens)
def test_costs_are_exact(per_input: Decimal, per_output: Decimal, used: int, made: int) -> None:
    exact = Context(prec=60)
    dollars = exact.add(exact.multiply(used, per_input), exact.multiply(made, per_output)).scaleb(-6, exact)
    expected = dollars.scaleb(9, exact).to_integral_value(ROUND_HALF_EVEN, exact)
    assert price(str(per_input), str(per_output)).cost_nano_usd(used, made) == expected


def test_a_price_in_the_document_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(SHIPPED.read_text().replace("0.30", "0.123457"))
    assert load_catalogue(file).tier("r1").price.output_usd_per_million_tokens == Decimal("0.123457")


@pytest.mark.parametrize("bad", ["-1", "0.1234567", "1000001", ".inf", "cheap", "[1]"])
def test_prices_that_are_refused(tmp_path: Path, bad: str) -> None:
    (found,) = problems(tmp_path, "0.10", bad)
    assert found.startswith("tiers.r1.price.input_usd_per_million_tokens: must ")


# --- looking up


def test_an_empty_variant_is_the_first(catalogue: Catalogue) -> None:
    assert catalogue.variant("r1").model == "r1"
    assert catalogue.variant("r1", "int8").model == "r1-int8"


def test_what_is_unknown_is_answered_with_what_is_known(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownTier, match="no tier 'r2'; ask for one of r1, pro"):
        catalogue.tier("r2")
    with pytest.raises(UnknownTier):
        catalogue.variant("r2", "fp16")
    with pytest.raises(UnknownVariant, match="tier 'r1' has no variant 'bf16'; ask for one of fp16, int8"):
        catalogue.variant("r1", "bf16")


def test_a_third_tier_is_configuration(tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    third = text[text.index("  pro:") :].replace("  pro:", "  max:").replace("model: pro", "model: max")
    file = tmp_path / "catalogue.yaml"
    file.write_text(text + third.replace("modalities: [text]", "modalities: [text, image]"))
    found = load_catalogue(file)
    assert list(found.tiers) == ["r1", "pro", "max"]
    assert found.tier("max").modalities == (types_pb2.MODALITY_TEXT, types_pb2.MODALITY_IMAGE)


# --- what is refused


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "chat_template: smollm2",
            "chat_template: llama",
            "tiers.r1.chat_template: there is no chat template 'llama'; there is smollm2",
        ),
        ("{%- endif -%}", "", "chat_templates.smollm2: is not a Jinja template: "),
        (
            "message.content ~",
            "message.content|firstly ~",
            "chat_templates.smollm2: is not a Jinja template: No filter",
        ),
        ("modalities: [text]", "modalities: [image]", "tiers.r1.modalities: must contain text"),
        (
            "modalities: [text]",
            "modalities: [text, text]",
            "tiers.r1.modalities: must not name a modality twice",
        ),
        (
            "modalities: [text]",
            "modalities: [video]",
            "tiers.r1.modalities[0]: must be 'text', 'image' or 'audio'",
        ),
        ("signature: vllm", "signature: tgi", "tiers.r1.variants.fp16.signature: must be 'vllm'"),
        ("  r1:\n", "  R1:\n", "tiers.R1: must match"),
        ("model: r1\n", "model: ../r1\n", "tiers.r1.variants.fp16.model: must match"),
        ("close: </think>", "close: ''", "tiers.r1.reasoning.close: must have at least 1 character"),
        ("open: <think>", "opens: <think>", "tiers.r1.reasoning.open: is missing"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert problems(tmp_path, old, new)[0].startswith(expected)


def test_variants_that_share_a_model_are_all_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "model: pro", "model: r1") == [
        "tiers.r1.variants.fp16.model: 'r1' is the model of another variant, too; each needs its own",
        "tiers.pro.variants.fp16.model: 'r1' is the model of another variant, too; each needs its own",
    ]
