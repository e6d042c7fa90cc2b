"""Renders the chart with the real Helm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "helm" / "tandem"
HELM: Final = Path(sys.executable).with_name("helm")
PROFILES: Final = sorted(path.name for path in CHART.glob("values-*.yaml"))
VERSIONS: Final = ("1.30", "1.31", "1.32", "1.33", "1.34")
"""Of Kubernetes."""
RELEASE: Final = "trial"
NAMESPACE: Final = "serving"
Object = Mapping[str, Any]

_FULL_URL: Final = "postgresql+psycopg://tandem@db/tandem"
EVERYTHING: Final = {
    "defaults": {
        "replicas": 2,
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "extraEnv": [{"name": "EXTRA", "value": "1"}],
        "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    },
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"annotations": {"role": "c"}},
    "orchestrator": {
        "autoscaling": {"enabled": True},
        "ledger": {"url": _FULL_URL, "prompts": True},
        "cache": {"existingSecret": "valkey"},
        "keys": {"existingSecret": "keys"},
        "apiKeys": {"existingSecret": "more-keys"},
    },
    "classifier": {"artifact": "/extra/own.safetensors"},
    "fusion": {"reliability": {"r1": 0.6}, "artifact": "/extra/votes.json"},
    "tls": {
        "enabled": True,
        "serverName": "tandem",
        "clients": {"caSecret": "clients"},
        "certManager": {"enabled": True, "issuerRef": {"name": "ours"}, "dnsNames": ["tandem.example"]},
    },
    "gateway": {"enabled": True, "parentRefs": [{"name": "front"}], "hostnames": ["tandem.example"]},
    "telemetry": {
        "otlp": {"endpoint": "http://collector.observability:4317", "existingSecret": "collector"},
        "sampler": "traceidratio",
        "ratio": 0.01,
    },
    "networkPolicy": {
        "metrics": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "collector": [{"namespaceSelector": {"matchLabels": {"name": "observability"}}}],
        "orchestratorEgress": [{"ports": [{"port": 5432, "protocol": "TCP"}]}],
    },
    "tests": {"apiKeySecret": "asker", "faults": {"enabled": True}},
}
"""Every switch turned on."""


MIDDLE: Final[dict[str, Any]] = {
    "tiers": {
        "middle": {
            "catalogue": {
                "modalities": ["text"],
                "price": {"input_usd_per_million_tokens": 0.5, "output_usd_per_million_tokens": 1},
                "chat_template": "smollm2",
            },
            "weights": {"source": "none"},
            "defaultVariant": "fp16",
            "variants": {
                "int8": {
                    "precision": "int8",
                    "context": 4096,
                    "concurrency": 4,
                    "latency": {"ttft_ms": 1, "tpot_ms": 1},
                },
                "fp16": {
                    "precision": "fp16",
                    "context": 4096,
                    "concurrency": 4,
                    "latency": {"ttft_ms": 1, "tpot_ms": 1},
                },
            },
            "parallel": {"tensor": 1, "pipeline": 1},
            "replicas": 1,
        }
    }
}
"""A third tier."""


SPREAD: Final = {
    "triton": {"engine": "vllm"},
    "tiers": {
        "r1": {"weights": {"source": "claim", "claim": "weights"}},
        "pro": {"parallel": {"tensor": 8, "pipeline": 2}, "weights": {"source": "claim", "claim": "weights"}},
    },
    "inference": {
        "autoscaling": {
            "enabled": True,
            "triggers": [{"type": "prometheus", "metadata": {"query": "up", "threshold": "5"}}],
        }
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True, "runbooks": "https://example.org/runbooks/"},
        "dashboards": {"enabled": True},
    },
}
"""A tier over two nodes, and what needs definitions that not every cluster has."""


FETCHED: Final = {
    "triton": {"engine": "vllm"},
    "tiers": {
        "r1": {
            "weights": {"source": "huggingFace", "tokenSecret": {"name": "hub"}},
            "variants": {"fp16": {"weights": "ours/small"}, "int8": {"weights": "ours/small-int8"}},
            "parallel": {"tensor": 8, "pipeline": 2},
        },
        "pro": {
            "weights": {
                "source": "objectStore",
                "objectStore": {"image": "copier:1", "args": ["s3://models/pro", "/weights"]},
                "size": "800Gi",
            },
            "parallel": {"tensor": 8, "pipeline": 3},
        },
    },
    "networkPolicy": {"tritonEgress": [{"ports": [{"port": 9000, "protocol": "TCP"}]}]},
}
"""Tiers over several nodes, each of which fetches the weights it needs."""


MESHES: Final = {kind: {"mesh": {"kind": kind}} for kind in ("istio", "linkerd")}
"""In a mesh."""


class Refused(Exception):
    """Helm refused the values; carries its words."""


def helm(*arguments: str, values: Mapping[str, Any] = {}) -> str:
    """Run Helm with values on standard input and return what it printed."""
    command = [str(HELM), *arguments, *(["--values", "-"] if values else [])]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def render(profile: str = "", values: Mapping[str, Any] = {}) -> list[Object]:
    """Return the objects of a release."""
    return list(_rendered(profile, json.dumps(values)))


@cache
def _rendered(profile: str, values: str) -> tuple[Object, ...]:
    files = ["--values", str(CHART / profile)] if profile else []
    text = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *files, values=json.loads(values))
    return tuple(found for found in yaml.safe_load_all(text) if found)


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    """Return the object of this kind and name."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def pod_specs(objects: Iterable[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Yield name, metadata and spec of every pod, also of those that Deployments and groups make."""
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "Pod":
            yield name, each["metadata"], each["spec"]
        elif each["kind"] == "Deployment":
            template = each["spec"]["template"]
            yield name, template["metadata"], template["spec"]
        elif each["kind"] == "LeaderWorkerSet":
            for role in ("leader", "worker"):
                template = each["spec"]["leaderWorkerTemplate"][f"{role}Template"]
                yield f"{name}-{role}", template["metadata"], template["spec"]


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod, those that run before the others included."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Object) -> dict[str, str]:
    """Return the environment of a container; what comes from elsewhere is empty."""
    return {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
