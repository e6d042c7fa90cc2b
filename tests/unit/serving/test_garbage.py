"""Would catch: full garbage collections that look at everything the process was built of, while requests wait."""

from __future__ import annotations

import gc
import subprocess
import sys

from tandem.serving import garbage


def test_what_exists_is_out_of_sight() -> None:
    program = (
        "import gc; from tandem.serving.garbage import ignore_what_exists; import tandem.orchestrator.__main__; "
        "before = len(gc.get_objects()); ignore_what_exists(); "
        "print(before, len(gc.get_objects()), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after, frozen = map(int, done.stdout.split())
    assert before > 50_000
    assert after < before / 100
    assert frozen > 50_000


def test_what_comes_later_is_collected() -> None:
    garbage.ignore_what_exists()
    try:
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.collect() > 0
    finally:
        gc.unfreeze()
