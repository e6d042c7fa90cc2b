"""Writes what is made from the chart: its README, and for each profile the objects that `kubectl apply -k` applies.

It also copies the alerts and dashboards of deploy/observability into the chart: Helm reads no files outside of it.

The README's table comes from the comments of values.yaml, in the form of helm-docs: `# -- what it is` above a key, and
`# @default -- words` where the default is too long to show. The objects are what Helm renders, without the tests.

Exit status: 0 written, or nothing differs; 1 with --check, a file differs; 2 Helm cannot render.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "helm" / "tandem"
OBSERVABILITY: Final = ROOT / "deploy" / "observability"
COPIES: Final = CHART / "files" / "observability"
KUSTOMIZE: Final = ROOT / "deploy" / "kustomize"
NAMESPACE: Final = "tandem"
MADE: Final = "Made by `make chart-files`; change the chart instead."
SHOWN_CHARACTERS: Final = 60


class RenderError(Exception):
    """Helm refused; carries its words."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented key of values.yaml."""

    key: str
    default: str
    meaning: str


def documented(text: str) -> Iterator[Value]:
    """Yield the documented keys of a values.yaml in its order."""
    values = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    meaning, default = "", ""
    for line in text.splitlines():
        if comment := re.match(r"\s*# -- (.*)", line):
            meaning = comment[1]
        elif comment := re.match(r"\s*# @default -- (.*)", line):
            default = comment[1]
        elif meaning and (comment := re.match(r"\s*# (.*)", line)):
            meaning += f" {comment[1]}"
        elif key := re.match(r"(\s*)([A-Za-z][\w-]*):", line):
            depth = len(key[1])
            path = [*(part for part in path if part[0] < depth), (depth, key[2])]
            if meaning:
                names = [name for _, name in path]
                yield Value(".".join(names), default or shown(_at(values, names)), meaning)
            meaning, default = "", ""


def shown(value: Any) -> str:
    """Return a default for the table."""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= SHOWN_CHARACTERS else "see values.yaml"


def _at(values: Any, names: list[str]) -> Any:
    for name in names:
        values = values[name]
    return values


def profiles() -> dict[str, str]:
    """Return what the first comment of each profile says, by the profile's name."""
    found = {}
    for file in sorted(CHART.glob("values-*.yaml")):
        comment = re.match(r"(?:# ?.*\n)+", file.read_text(encoding="utf-8"))
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        found[file.stem.removeprefix("values-")] = words.strip().partition(". ")[0].rstrip(".") + "."
    return found


def readme() -> str:
    """Return the chart's README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    rows = "\n".join(
        f"| `{value.key}` | {value.default} | {value.meaning} |".replace("||", "\\|\\|")
        for value in documented((CHART / "values.yaml").read_text(encoding="utf-8"))
    )
    listed = "\n".join(f"| `values-{name}.yaml` | {what} |" for name, what in profiles().items())
    return f"""# The chart `{chart["name"]}`

{chart["description"]} Version {chart["version"]}, of Tandem {chart["appVersion"]}, for Kubernetes 1.30 and later.
How to install, test and operate it: [docs/operations/kubernetes.md](../../docs/operations/kubernetes.md).

```console
$ helm install tandem helm/tandem --namespace tandem --create-namespace --values helm/tandem/values-cpu.yaml
$ helm test tandem --namespace tandem --logs
```

## Profiles

| file | what for |
|---|---|
{listed}

## Values

| key | default | meaning |
|---|---|---|
{rows}

{MADE}
"""


def rendered(profile: str) -> str:
    """Return the objects of a profile.

    Raises:
        RenderError: Helm refused.
    """
    helm = Path(sys.executable).with_name("helm")
    command = [
        str(helm if helm.exists() else shutil.which("helm") or "helm"),
        "template",
        "tandem",
        str(CHART),
    ]
    command += ["--namespace", NAMESPACE, "--no-hooks", "--values", str(CHART / f"values-{profile}.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return f"# {MADE}\n{done.stdout}"


def kustomization(profile: str) -> str:
    """Return the kustomization of a profile."""
    return f"""# {MADE} kubectl apply -k deploy/kustomize/{profile}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {NAMESPACE}
resources: [../namespace, tandem.yaml]
"""


NAMESPACE_FILES: Final = {
    "kustomization.yaml": f"""# {MADE}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [namespace.yaml]
""",
    "namespace.yaml": f"""# {MADE}
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
""",
}


def files() -> Mapping[Path, str]:
    """Return every file that is made, with its text.

    Raises:
        RenderError: Helm refused.
    """
    made = {CHART / "README.md": readme()}
    made |= {KUSTOMIZE / "namespace" / name: text for name, text in NAMESPACE_FILES.items()}
    for source in sorted(OBSERVABILITY.glob("*/*")):
        made[COPIES / source.name] = source.read_text(encoding="utf-8")
    for profile in profiles():
        made[KUSTOMIZE / profile / "tandem.yaml"] = rendered(profile)
        made[KUSTOMIZE / profile / "kustomization.yaml"] = kustomization(profile)
    return made


def differing(made: Mapping[Path, str]) -> list[Path]:
    """Return the files that are not there, or are there with another text, and those that nothing makes any more."""
    there = [*KUSTOMIZE.rglob("*"), *COPIES.glob("*")]
    stale = [path for path in there if path.is_file() and path not in made]
    return [
        path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ] + stale


def main() -> int:
    """Run the program and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and fail when a file would change"
    )
    options = parser.parse_args()
    try:
        made = files()
    except RenderError as error:
        print(f"chart_files: {error}", file=sys.stderr)
        return 2
    different = differing(made)
    if options.check:
        for path in different:
            print(
                f"{path.relative_to(ROOT)} is not what the chart gives: run `make chart-files`",
                file=sys.stderr,
            )
        return 1 if different else 0
    for path in different:
        if path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
