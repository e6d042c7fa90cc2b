"""Writes the dashboards of deploy/observability/dashboards from their description in tools/grafana.

Exit status: 0 written, or nothing differs; 1 with --check, a file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from grafana.deadlines import DEADLINES
from grafana.money import MONEY
from grafana.panel import Dashboard, written
from grafana.quality import QUALITY
from grafana.tiers import TIERS

ALL: Final = (QUALITY, DEADLINES, TIERS, MONEY)
FOLDER: Final = Path(__file__).resolve().parents[1] / "deploy" / "observability" / "dashboards"


def text_of(dashboard: Dashboard) -> str:
    """Return the file of a dashboard."""
    return json.dumps(written(dashboard), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    wanted = {FOLDER / f"{dashboard.uid}.json": text_of(dashboard) for dashboard in ALL}
    there = {file: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    if check:
        differing = sorted(str(file) for file in {*wanted, *there} if wanted.get(file) != there.get(file))
        if differing:
            print(
                f"not as tools/grafana says: {', '.join(differing)}; run `make dashboards`", file=sys.stderr
            )
        return 1 if differing else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in {*there} - {*wanted}:
        file.unlink()
    for file, text in wanted.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
