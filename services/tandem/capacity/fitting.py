"""Whether a tier fits on a type of node, and if not, what would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tandem.capacity.memory import BYTES_PER_128, Layout, Load, Need, Precision, divided, need
from tandem.capacity.nodes import Node
from tandem.capacity.shape import Shape

MAX_PIPELINE: Final = 16
"""Most nodes of a replica that are tried."""
MIN_CONTEXT: Final = 512
"""Shortest context that is proposed."""
_MOST_SEQUENCES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TierPlan:
    """One tier as it shall run; all its variants are loaded on the same GPUs."""

    name: str
    node_name: str
    node: Node
    shape: Shape
    loads: Sequence[Load]
    layout: Layout
    replicas: int = 1

    @property
    def needs(self) -> Sequence[Need]:
        """What a GPU holds of each variant."""
        return [need(self.shape, load, self.layout) for load in self.loads]

    @property
    def needs_mb(self) -> int:
        """What a GPU holds in all, in MB."""
        return sum(each.total for each in self.needs)

    @property
    def all_mb(self) -> int:
        """What all replicas hold, were they on the same GPU, in MB."""
        return self.needs_mb * self.replicas

    @property
    def fits(self) -> bool:
        """Whether a replica can be laid out so, and each GPU holds its part."""
        return not self.layout_problem and self.needs_mb <= self.node.usable_mb

    @property
    def layout_problem(self) -> str:
        """Say why the model cannot be cut so; empty: it can."""
        tensor, pipeline = self.layout.tensor, self.layout.pipeline
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        if tensor > self.node.accelerators:
            return f"tensor {tensor} is more than the {self.node.accelerators} GPUs of a node"
        if heads % tensor:
            return f"tensor {tensor} does not divide {heads} heads"
        if not self.shape.kv_rank and max(kv_heads, tensor) % min(kv_heads, tensor):
            return f"tensor {tensor} and {kv_heads} KV heads do not divide each other"
        if pipeline > self.shape.layers:
            return f"pipeline {pipeline} is more than {self.shape.layers} layers"
        return ""

    @property
    def replicas_per_node(self) -> int:
        """Replicas that one node holds, or that `pipeline` nodes hold together."""
        return self.node.accelerators // self.layout.tensor


def refusal(plan: TierPlan) -> str:
    """Say why a tier does not fit and what would; empty: it fits. Helm's templates say it in the same words."""
    if plan.layout_problem:
        start = f"tier {plan.name} does not fit on {plan.node_name}: {plan.layout_problem}"
    elif plan.needs_mb > plan.node.usable_mb:
        parts = "; ".join(_parts(load, each) for load, each in zip(plan.loads, plan.needs, strict=True))
        gpus, has = plan.layout.gpus, plan.node.usable_mb
        start = (
            f"tier {plan.name} does not fit on {plan.node_name}: needs {gb(plan.needs_mb * gpus)}, "
            f"has {gb(has * gpus)} ({gpus} × {gb(plan.needs_mb)} on {gpus} × {gb(has)} usable: {parts})"
        )
    else:
        return ""
    return f"{start}; what would fit: {', or '.join(remedies(plan)) or 'nothing on this type of node'}"


def shared_refusal(plans: Sequence[TierPlan]) -> str:
    """Say why tiers do not fit on the same accelerators of one node; empty: they do. Helm says it in the same words."""
    sums = [(plan.name, plan.all_mb) for plan in plans]
    needs_mb, names = sum(need for _, need in sums), ", ".join(name for name, _ in sums)
    if not plans or needs_mb <= plans[0].node.usable_mb:
        return ""
    parts = "; ".join(f"{name} {gb(need)}" for name, need in sums)
    return (
        f"the tiers {names} do not fit together on {plans[0].node_name}: need {gb(needs_mb)}, "
        f"have {gb(plans[0].node.usable_mb)} usable ({parts}); lower context or concurrency, or take smaller models"
    )


def _parts(load: Load, each: Need) -> str:
    return (
        f"{load.title} weights {gb(each.weights)}, KV cache {gb(each.kv_cache)}, "
        f"activations {gb(each.activations)}, runtime {gb(each.runtime)}"
    )


def gb(megabytes: int) -> str:
    """Write MB as GB, exactly."""
    return f"{megabytes // 1000}.{megabytes % 1000:03d} GB"


def remedies(plan: TierPlan) -> list[str]:
    """Return the changes that would each make a tier fit, the smallest of every kind."""
    kinds = (_one_variant, _precisions, _sequences, _contexts, _tensors, _pipelines)
    found = (next((words for words, changed in kind(plan) if changed.fits), "") for kind in kinds)
    return [words for words in found if words]


Candidates = Iterator[tuple[str, TierPlan]]


def _one_variant(plan: TierPlan) -> Candidates:
    if len(plan.loads) > 1:
        for load in plan.loads:
            yield f"only the variant {load.name}", replace(plan, loads=[load])


def _precisions(plan: TierPlan) -> Candidates:
    """Lower precisions as they are, then each with fewer sequences."""
    targets: tuple[Precision, ...] = ("int8", "int4")
    lowered = [(f"{target} weights", _lowered(plan, target)) for target in targets]
    yield from lowered
    for words, changed in lowered:
        for fewer, both in _sequences(changed):
            yield f"{words} with {fewer}", both


def _lowered(plan: TierPlan, target: Precision) -> TierPlan:
    loads = [
        replace(load, precision=target) if BYTES_PER_128[load.precision] > BYTES_PER_128[target] else load
        for load in plan.loads
    ]
    return replace(plan, loads=loads)


def _sequences(plan: TierPlan) -> Candidates:
    for most in _halves(max(load.concurrency for load in plan.loads), 1):
        loads = [replace(load, concurrency=min(load.concurrency, most)) for load in plan.loads]
        yield f"a concurrency of at most {most}", replace(plan, loads=loads)


def _contexts(plan: TierPlan) -> Candidates:
    for most in _halves(max(load.context for load in plan.loads), MIN_CONTEXT):
        loads = [replace(load, context=min(load.context, most)) for load in plan.loads]
        yield f"a context of at most {most}", replace(plan, loads=loads)


def _halves(value: int, least: int) -> Iterator[int]:
    while value // 2 >= least:
        value //= 2
        yield value


def _tensors(plan: TierPlan) -> Candidates:
    for tensor in powers_of_two(plan.node.accelerators):
        yield f"tensor {tensor}", replace(plan, layout=replace(plan.layout, tensor=tensor))


def _pipelines(plan: TierPlan) -> Candidates:
    tensor = widest_tensor(plan.shape, plan.node)
    for pipeline in range(plan.layout.pipeline + 1, MAX_PIPELINE + 1):
        changed = replace(plan, layout=Layout(tensor, pipeline))
        yield f"tensor {tensor} with pipeline {pipeline}", changed


def powers_of_two(most: int) -> list[int]:
    """Return 1, 2, 4 … up to a number."""
    return [1 << power for power in range(most.bit_length()) if 1 << power <= most]


def widest_tensor(shape: Shape, node: Node) -> int:
    """Return the most GPUs of a node, a power of two, that the model's heads can be divided among."""
    return max(
        tensor
        for tensor in powers_of_two(node.accelerators)
        if not TierPlan("", "", node, shape, [], Layout(tensor, 1)).layout_problem
    )


def most_sequences(plan: TierPlan, index: int) -> int:
    """Return how many sequences of one variant fit, the other variants as they are; 0: none."""
    low, high = 0, _MOST_SEQUENCES
    while low < high:
        middle = (low + high + 1) // 2
        loads = list(plan.loads)
        loads[index] = replace(loads[index], concurrency=middle)
        low, high = (middle, high) if replace(plan, loads=loads).fits else (low, middle - 1)
    return low


def nodes_needed(plans: Sequence[TierPlan]) -> dict[str, int]:
    """Return how many nodes of each type hold all replicas, filled with the widest first."""
    free: dict[str, list[_Alike]] = {}
    for plan in sorted(plans, key=lambda plan: -plan.layout.tensor):
        parts, filled = plan.replicas * plan.layout.pipeline, list[_Alike]()
        for nodes in free.get(plan.node_name, []):
            parts, after = _fill(nodes, parts, plan.layout.tensor)
            filled += after
        each = plan.node.accelerators // plan.layout.tensor
        _, added = _fill(_Alike(divided(parts, each), plan.node.accelerators), parts, plan.layout.tensor)
        free[plan.node_name] = [*filled, *added]
    return {name: sum(nodes.count for nodes in alike) for name, alike in free.items()}


@dataclass(frozen=True, slots=True)
class _Alike:
    """Nodes next to each other with as many free GPUs."""

    count: int
    free: int


def _fill(nodes: _Alike, parts: int, gpus: int) -> tuple[int, list[_Alike]]:
    """Give nodes, one after the other, as many parts of so many GPUs as they take; return the parts that are left."""
    each = nodes.free // gpus
    if not each or not parts:
        return parts, [nodes]
    full = min(nodes.count, parts // each)
    rest = min(parts - full * each, each) if full < nodes.count else 0
    after = [
        _Alike(full, nodes.free - each * gpus),
        _Alike(int(rest > 0), nodes.free - rest * gpus),
        _Alike(nodes.count - full - (rest > 0), nodes.free),
    ]
    return parts - full * each - rest, [alike for alike in after if alike.count]
