"""From the chart's values, or a catalogue and a policy, to a deployment that can be simulated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tandem.capacity.errors import BadPlan
from tandem.capacity.values import ChartValues, explained, merge, read_mapping
from tandem.catalogue import Catalogue, load_catalogue
from tandem.deployment import deploy_folder
from tandem.orchestrator.policy import Policy, load_policy
from tandem.simulation.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of everything, in place of what the values say."""

    replicas: Mapping[str, int] = field(default_factory=dict)
    """By tier."""
    orchestrators: int | None = None


def of_values(values: ChartValues, policy: Path | None, counts: Counts) -> Deployment:
    """Return what a chart with these values deploys.

    Raises:
        BadPlan: the values lack something, or a tier has no replica.
        DocumentError: the policy file has problems.
        OSError: a file cannot be read.
    """
    catalogue = _catalogue(values)
    if policy:
        decided = load_policy(policy, catalogue)
    else:
        decided = _policy(merge(read_mapping(deploy_folder() / "policy.yaml"), values.policy), catalogue)
    replicas = {name: tier.replicas for name, tier in values.tiers.items()}
    found = _deployment(catalogue, decided, replicas, values.orchestrators, counts)
    return replace(found, same_accelerators=values.shareAccelerators)


def of_catalogue(file: Path, policy: Path | None, counts: Counts) -> Deployment:
    """Return a deployment of a catalogue's tiers: one of everything, unless something else is said; raises likewise."""
    catalogue = load_catalogue(file)
    decided = load_policy(policy or deploy_folder() / "policy.yaml", catalogue)
    return _deployment(catalogue, decided, dict.fromkeys(catalogue.tiers, 1), 1, counts)


def _deployment(
    catalogue: Catalogue, policy: Policy, replicas: Mapping[str, int], orchestrators: int, counts: Counts
) -> Deployment:
    stray = counts.replicas.keys() - replicas.keys()
    if stray:
        raise BadPlan(f"there is no tier {', '.join(sorted(stray))}; there is {', '.join(replicas)}")
    chosen = {**replicas, **counts.replicas}
    many = counts.orchestrators if counts.orchestrators is not None else orchestrators
    for what, count in {
        **{f"tier {name}": each for name, each in chosen.items()},
        "orchestrator": many,
    }.items():
        if not count:
            raise BadPlan(f"{what} has no replica, so that nothing can be simulated; give it one or more")
    return Deployment(catalogue, policy, chosen, many)


def _catalogue(values: ChartValues) -> Catalogue:
    """Return the model catalogue that the chart makes of its values."""
    tiers = {
        name: {
            **tier.catalogue,
            "variants": {
                variant: {
                    "model": f"{name}-{variant}",
                    "signature": "vllm",
                    "context_tokens": tier.variants[variant].context,
                    "concurrency": tier.variants[variant].concurrency,
                    "latency": tier.variants[variant].latency,
                }
                for variant in tier.variants_in_order()
            },
        }
        for name, tier in values.tiers.items()
    }
    content = {"version": 1, "chat_templates": values.chat_templates, "tiers": tiers}
    try:
        return Catalogue.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise BadPlan(
            f"the values make no model catalogue ({explained(error)}); give the chart's values.yaml first, then yours"
        ) from None


def _policy(content: Mapping[str, Any], catalogue: Catalogue) -> Policy:
    try:
        policy = Policy.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise BadPlan(f"policy: {explained(error)}") from None
    wrong = [f"{'.'.join(map(str, each.location))}: {each.message}" for each in policy.check(catalogue)]
    if wrong:
        raise BadPlan(f"policy: {'; '.join(wrong)}")
    return policy
