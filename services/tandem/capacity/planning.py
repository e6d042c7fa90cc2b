"""From what an operator names to tiers that can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast, get_args

from tandem.capacity.errors import BadPlan
from tandem.capacity.fitting import TierPlan, nodes_needed, refusal, shared_refusal, widest_tensor
from tandem.capacity.huggingface import read_config
from tandem.capacity.memory import MOST_TOKENS, Layout, Load, Precision
from tandem.capacity.nodes import Node, load_nodes
from tandem.capacity.shape import Shape, load_models
from tandem.capacity.values import ChartValues, read_values, shape_of
from tandem.catalogue import load_catalogue

LONE_TIER: Final = "model"
"""Name of the tier where only a model is named."""
DEFAULT_CONTEXT: Final = 8192
DEFAULT_CONCURRENCY: Final = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator names; None and empty: what the document says."""

    values: Sequence[Path] = ()
    catalogue: Path | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    """A known model or a config.json, by tier; the empty key stands for all tiers."""
    node: str = ""
    precisions: Sequence[Precision] = ("bf16",)
    """Used where only a model is named."""
    concurrency: int | None = None
    context: int | None = None
    tensor: int | None = None
    pipeline: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What can be checked, and which tiers cannot because nobody gave their model's shape."""

    tiers: Sequence[TierPlan]
    unknown: Sequence[str]
    shared: bool = False
    """Whether all tiers lie on the same accelerators of one node."""

    @property
    def refusals(self) -> list[str]:
        """Say what does not fit, each tier for itself and then all together; nothing: everything fits."""
        alone = [words for words in map(refusal, self.tiers) if words]
        together = shared_refusal(self.tiers) if self.shared and not alone else ""
        return [*alone, *([together] if together else [])]

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes of each type hold all replicas; nothing where no number would do."""
        if not all(tier.fits for tier in self.tiers):
            return {}
        return {self.tiers[0].node_name: 1} if self.shared and self.tiers else nodes_needed(self.tiers)


@dataclass(frozen=True, slots=True)
class _Tier:
    name: str
    node: str
    shape: Shape | None
    loads: Sequence[Load]
    layout: Layout | None = None
    replicas: int = 1


def plan(wish: Wish) -> Planned:
    """Put together what to check.

    Raises:
        BadPlan: something does not exist or is missing.
        DocumentError: the catalogue has problems.
        OSError: a file cannot be read.
    """
    tiers = [_with_wishes(tier, wish) for tier in _tiers(wish)]
    stray = set(wish.models) - {tier.name for tier in tiers} - {""}
    if stray:
        known = ", ".join(tier.name for tier in tiers)
        raise BadPlan(f"there is no tier {', '.join(sorted(stray))}; there is {known}")
    return Planned(
        [_checkable(tier, tier.shape, wish) for tier in tiers if tier.shape],
        [tier.name for tier in tiers if not tier.shape],
        shared=bool(wish.values) and read_values(wish.values).shareAccelerators,
    )


def _tiers(wish: Wish) -> list[_Tier]:
    if wish.values:
        return _of_values(read_values(wish.values))
    if wish.catalogue:
        return _of_catalogue(wish.catalogue)
    if set(wish.models) != {""}:
        raise BadPlan("there is nothing to plan; give --values FILE, --catalogue FILE or --model NAME")
    loads = [Load(each, each, DEFAULT_CONTEXT, DEFAULT_CONCURRENCY) for each in wish.precisions]
    return [_Tier(LONE_TIER, "", None, loads)]


def _of_values(values: ChartValues) -> list[_Tier]:
    return [
        _Tier(
            name,
            tier.node or values.node,
            shape_of(f"tiers.{name}.model.shape", tier.model.shape),
            [
                Load(key, each.precision, each.context, each.concurrency, each.load == "on-demand")
                for key, each in sorted(tier.variants.items())
            ],
            Layout(tier.parallel.tensor, tier.parallel.pipeline),
            tier.replicas,
        )
        for name, tier in sorted(values.tiers.items())
    ]


def _of_catalogue(file: Path) -> list[_Tier]:
    return [
        _Tier(
            name,
            "",
            None,
            [
                Load(
                    key,
                    _precision(f"tier {name}", key),
                    each.context_tokens,
                    each.concurrency,
                    each.on_demand,
                )
                for key, each in tier.variants.items()
            ],
        )
        for name, tier in load_catalogue(file).tiers.items()
    ]


def _precision(place: str, name: str) -> Precision:
    known = get_args(Precision)
    if name not in known:
        raise BadPlan(
            f"{place}: the variant {name} is not called by a precision, one of {', '.join(known)}; "
            "plan with the chart's values, which say the precision of each variant"
        )
    return cast("Precision", name)


def _with_wishes(tier: _Tier, wish: Wish) -> _Tier:
    loads = [
        replace(load, context=wish.context or load.context, concurrency=wish.concurrency or load.concurrency)
        for load in tier.loads
    ]
    for load in loads:
        if load.context * load.concurrency > MOST_TOKENS:
            raise BadPlan(
                f"tier {tier.name}: {load.concurrency} sequences of {load.context} tokens are more than "
                f"{MOST_TOKENS} tokens; lower one of them"
            )
    model = wish.models.get(tier.name) or wish.models.get("")
    shape = named_shape(model) if model else tier.shape
    return replace(tier, node=wish.node or tier.node, shape=shape, loads=loads)


def _checkable(tier: _Tier, shape: Shape, wish: Wish) -> TierPlan:
    if not tier.node:
        raise BadPlan(
            f"tier {tier.name} has no type of node; give --node, one of {', '.join(sorted(load_nodes().nodes))}"
        )
    node = named_node(tier.node)
    given = tier.layout
    tensor = wish.tensor or (given.tensor if given else widest_tensor(shape, node))
    pipeline = wish.pipeline or (given.pipeline if given else 1)
    layout = Layout(tensor, pipeline)
    return TierPlan(tier.name, tier.node, node, shape, tier.loads, layout, tier.replicas)


def named_node(name: str) -> Node:
    """Return a type of node; raise `BadPlan` if there is none of that name."""
    nodes = load_nodes().nodes
    if name not in nodes:
        raise BadPlan(f"there is no type of node {name!r}; give one of {', '.join(sorted(nodes))}")
    return nodes[name]


def named_shape(name: str) -> Shape:
    """Return the shape of a known model or of a `config.json`; raise `BadPlan` if it is neither."""
    known = load_models().models
    if name in known:
        return known[name].shape
    if Path(name).is_file():
        return read_config(Path(name))
    raise BadPlan(
        f"{name!r} is neither a file nor a known model; give a config.json or one of {', '.join(known)}"
    )
