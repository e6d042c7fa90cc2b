"""The model catalogue: the one place that knows tiers, their variants, prices and chat templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator, Field, StringConstraints

from tandem.errors import UnknownTier, UnknownVariant
from tandem.v1 import types_pb2
from tandem.yaml_document import Complaint, Document, Location, Section, load

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
"""Name of a tier or of a variant, as requests may use it."""

Text = Annotated[str, StringConstraints(min_length=1)]


def _compiles(source: str) -> str:
    try:
        ImmutableSandboxedEnvironment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(
            f"is not a Jinja template: {error.message} (line {error.lineno} of the template)"
        ) from None
    return source


# Six places keep sums of prices exact as integers of a millionth.
_PRICE_PLACES: Final = 6
Usd = Annotated[Decimal, Field(strict=False, ge=0, le=1_000_000, decimal_places=_PRICE_PLACES)]


class Price(Section):
    """What tokens cost."""

    input_usd_per_million_tokens: Usd
    """US dollars for a million tokens of prompt; 0 to 1,000,000 with at most 6 decimal places."""
    output_usd_per_million_tokens: Usd
    """US dollars for a million generated tokens, reasoning included; limits as for input."""

    def cost_nano_usd(self, input_tokens: int, output_tokens: int) -> int:
        """Return the cost in billionths of a US dollar, exact, halves rounded to even."""
        per_input, per_output = self._scaled
        cost, thousandths = divmod(input_tokens * per_input + output_tokens * per_output, 1000)
        return cost + (thousandths > 500 or (thousandths == 500 and cost % 2 == 1))

    @cached_property
    def _scaled(self) -> tuple[int, int]:
        """Millionths of a US dollar per million tokens: thousandths of a nano-dollar per token."""
        factor = 10**_PRICE_PLACES
        return int(self.input_usd_per_million_tokens * factor), int(
            self.output_usd_per_million_tokens * factor
        )


class ReasoningTags(Section):
    """The tags between which a model thinks before it answers."""

    open: Text
    """Opens the reasoning, such as `<think>`."""
    close: Text
    """Closes it; the answer follows."""
    starts_open: bool = False
    """True if the chat template already ends with the opening tag, so that the output begins inside."""


class Latency(Section):
    """Expected speed; time for fallbacks is reserved by it."""

    ttft_ms: float = Field(gt=0)
    """Milliseconds from the start of an attempt to its first token, above 0."""
    ttft_ms_per_1000_tokens: float = Field(default=0, ge=0)
    """Milliseconds that 1000 tokens of prompt add to it."""
    tpot_ms: float = Field(gt=0)
    """Milliseconds per token after the first, above 0."""


class Variant(Section):
    """One deployable form of a tier's model: one Triton model."""

    model: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    """Name of the Triton model; no other variant has the same."""
    signature: Literal["vllm"]
    """Which tensors the model has: `vllm` are those of Triton's vLLM backend."""
    context_tokens: int = Field(ge=1)
    """Most tokens of prompt and answer together."""
    concurrency: int = Field(default=32, ge=1)
    """Most attempts at a time on each Triton that has it; fewer while it is in trouble."""
    latency: Latency
    """Expected speed; time for fallbacks is reserved by it until attempts have shown the real one."""
    load: Literal["resident", "on-demand"] = "resident"
    """`resident`: Triton loads it at its start. `on-demand`: the first attempt that needs it has it loaded."""
    load_ms: float = Field(default=30_000, gt=0)
    """Milliseconds that loading takes, above 0; only of a variant on demand."""
    idle_seconds: float = Field(default=300, gt=0)
    """After so many seconds without an attempt it is unloaded, above 0; only of a variant on demand."""

    @property
    def on_demand(self) -> bool:
        """Whether it is loaded when it is needed."""
        return self.load == "on-demand"


class Tier(Section):
    """A role with a quality and a price."""

    reasoning: ReasoningTags | None = None
    """How the model marks its reasoning. Absent: it does not think aloud."""
    reads: tuple[Literal["text", "image", "audio"], ...] = Field(alias="modalities", min_length=1)
    """Kinds of content the model reads: `text`, `image`, `audio`; text is always one of them."""
    price: Price
    """What its tokens cost."""
    chat_template: str
    """Name of the chat template, one of `chat_templates`."""
    stop: tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...] = ()
    """Strings that end an answer besides those of the request, 1 to 64 characters; not part of it."""
    variants: Mapping[Name, Variant] = Field(min_length=1)
    """The tier's variants by name; the first one is the default."""

    @cached_property
    def modalities(self) -> tuple[types_pb2.Modality.ValueType, ...]:
        """What the model reads, in the words of the contract."""
        return tuple(types_pb2.Modality.Value(f"MODALITY_{name.upper()}") for name in self.reads)

    @property
    def default_variant(self) -> str:
        """Name of the variant that is meant when none is named."""
        return next(iter(self.variants))


class Catalogue(Document):
    """All tiers with their variants, in order."""

    version: Literal[1]
    """Version of this format: 1."""
    chat_templates: Mapping[Name, Annotated[Text, AfterValidator(_compiles)]]
    """Jinja sources by name; given `messages`, with `role` and `content`, and `add_generation_prompt`."""
    tiers: Mapping[Name, Tier] = Field(min_length=1)
    """The tiers by name."""

    def tier(self, name: str) -> Tier:
        """Return a tier; raise `UnknownTier` if there is none of that name."""
        if name not in self.tiers:
            raise UnknownTier(f"there is no tier {name!r}; ask for one of {_listed(self.tiers)}")
        return self.tiers[name]

    def variant(self, tier: str, name: str = "") -> Variant:
        """Return a variant of a tier, the default one for an empty name.

        Raises `UnknownTier` or `UnknownVariant`.
        """
        variants = self.tier(tier).variants
        if name and name not in variants:
            raise UnknownVariant(f"tier {tier!r} has no variant {name!r}; ask for one of {_listed(variants)}")
        return variants[name or self.tier(tier).default_variant]


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue.

    Raises `DocumentError` with everything that is wrong, and `OSError` if the file cannot be read.
    """
    return load(path, Catalogue, _check)


def _check(catalogue: Catalogue) -> Iterator[Complaint]:
    models = Counter(variant.model for tier in catalogue.tiers.values() for variant in tier.variants.values())
    for name, tier in catalogue.tiers.items():
        if tier.chat_template not in catalogue.chat_templates:
            known = _listed(catalogue.chat_templates)
            message = f"there is no chat template {tier.chat_template!r}; there is {known}"
            yield Complaint(("tiers", name, "chat_template"), message)
        yield from _check_modalities(name, tier)
        for variant_name, variant in tier.variants.items():
            yield from _check_load(("tiers", name, "variants", variant_name), variant)
            if models[variant.model] > 1:
                location = ("tiers", name, "variants", variant_name, "model")
                message = f"{variant.model!r} is the model of another variant, too; each needs its own"
                yield Complaint(location, message)


def _check_load(location: Location, variant: Variant) -> Iterator[Complaint]:
    """Yield what is said of loading where nothing is loaded."""
    for key in ("load_ms", "idle_seconds"):
        if key in variant.model_fields_set and not variant.on_demand:
            yield Complaint(
                (*location, key), "is of variants on demand alone; add load: on-demand, or remove it"
            )


def _check_modalities(name: str, tier: Tier) -> Iterator[Complaint]:
    location = ("tiers", name, "modalities")
    if "text" not in tier.reads:
        yield Complaint(location, "must contain text: every conversation has some")
    if len(set(tier.reads)) < len(tier.reads):
        yield Complaint(location, "must not name a modality twice")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
