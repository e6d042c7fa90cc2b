"""Makes the schemas of objects that Kubernetes does not know by itself, by which tests/chart checks what is rendered.

They are taken from packages of Python models that were made of the projects' CustomResourceDefinitions; a virtual
environment of its own needs them, tests/chart/crds/README.md says which. Descriptions and defaults are left out, so is
null, and fields that the definitions do not have are refused.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "chart" / "crds"
MODELS: Final = {
    "cloudcoil.models.prometheus_operator.v1": ("ServiceMonitor", "PrometheusRule"),
    "cloudcoil.models.keda.v1alpha1": ("ScaledObject",),
    "cloudcoil.models.istio.security.v1": ("PeerAuthentication",),
    "cloudcoil.models.istio.networking.v1": ("DestinationRule", "VirtualService"),
    "cloudcoil.models.cert_manager.v1": ("Certificate",),
}
LEFT_OUT: Final = frozenset({"description", "title", "default", "examples"})
NULL: Final = {"type": "null"}


def compact(node: Any) -> Any:
    """Return a schema without what says nothing about an object, in which every object is closed."""
    if isinstance(node, list):
        return [compact(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in LEFT_OUT}
    named = {
        key: {name: compact(schema) for name, schema in kept.pop(key).items()}
        for key in ("properties", "$defs")
        if key in kept
    }
    found = {key: compact(value) for key, value in kept.items()} | named
    if alternatives := [each for each in found.pop("anyOf", []) if each != NULL]:
        found |= {"anyOf": alternatives} if len(alternatives) > 1 else alternatives[0]
    if isinstance(pattern := found.get("pattern"), str) and "(?i)" in pattern:
        # Go takes the flag anywhere, JSON Schema's readers only in front.
        found["pattern"] = "(?i)" + pattern.replace("(?i)", "")
    # One without properties is one of which the definition says nothing.
    if named.get("properties"):
        found["additionalProperties"] = False
    return found


def schemas() -> dict[Path, dict[str, Any]]:
    """Return the schemas by the files that they belong into."""
    found = {}
    for module, kinds in MODELS.items():
        models = import_module(module)
        for kind in kinds:
            model = getattr(models, kind)
            schema = compact(model.model_json_schema(by_alias=True))
            # Kubernetes itself checks it, and the same way for all kinds.
            schema["properties"]["metadata"] = {"type": "object"}
            group, _, version = schema["properties"]["apiVersion"]["const"].rpartition("/")
            schema["$defs"] = _used(schema)
            found[FOLDER / f"{group}_{version}_{kind}.json"] = schema
    return found


def _used(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions that something refers to."""
    definitions, used = schema["$defs"], dict[str, Any]()
    waiting = [schema["properties"]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            name = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if name and name not in used:
                used[name] = definitions[name]
                waiting.append(definitions[name])
    return dict(sorted(used.items()))


def main() -> None:
    """Write all of them."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for file, schema in schemas().items():
        file.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
        print(file)


if __name__ == "__main__":
    main()
