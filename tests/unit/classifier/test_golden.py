"""Catches a platform, or a change, that makes other features of the same text: then every artifact would be worthless.

`testdata/golden_features.json` was written on x86-64 with Python 3.11 and NumPy 2.4. Features may only change with the
format of the artifact; then `python tests/unit/classifier/test_golden.py` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tandem.classifier.features import Extractor, FeatureSpec, Group, Terms

GOLDEN: Final = Path(__file__).parents[2] / "testdata" / "golden_features.json"
SPEC: Final = FeatureSpec(
    (
        Group("words", 1, 16),
        Group("words", 2, 16),
        Group("ideographs", 3, 15),
        Group("characters", 3, 15),
        Group("characters", 5, 16, weight=0.5),
    )
)
TEXTS: Final = (
    "",
    "?",
    "What is the capital of France?",
    "Prove that the square root of 2 is irrational, and that √4 ∈ ℚ.",
    "证明根号2是无理数，并逐步说明为什么同样的论证对根号4不成立。",
    "用Python写一个HTTP server，监听 8080 端口。",
    "Which of the following is NOT a prime?\nA. 2\nB. 9\n(C) 11\nD) 13 ____",
    "ＦＵＬＬ ｗｉｄｔｈ １２３？　ÀÉÎ ΑΒΓ Привет ฿ हिन्दी 한국어 日本語テキスト",
    "\x00\x1b[31m\ud800\udfff\u200b\ufeff\U0001f600\U0010ffff",
    "def f(x):\n\treturn x**2  # $\\frac{1}{2}$\n" * 40,
    "x" * 7000,
    "the quick brown fox " * 2000,
    "甲向乙借款10万元，丙提供保证担保。" * 500,
)


def found(text: str) -> dict[str, Any]:
    extractor = Extractor(
        SPEC, Terms.of({"proof": {"prove": 1, "证明": 1}, "choice": {"which of the following": 2}})
    )
    features = extractor.features(text)
    return {
        "indices": hashlib.sha256(features.indices.astype("<u4").tobytes()).hexdigest(),
        "values": hashlib.sha256(features.values.astype("<f4").tobytes()).hexdigest(),
        "dense": [round(value, 4) for value in features.dense.tolist()],
        "terms": features.terms.tolist(),
    }


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_features_are_those_of_every_platform(number: int) -> None:
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[number]
    actual = found(TEXTS[number])
    assert actual.pop("dense") == pytest.approx(expected.pop("dense"), abs=2e-4)
    assert actual == expected


def test_every_text_has_golden_features() -> None:
    assert len(json.loads(GOLDEN.read_text(encoding="utf-8"))) == len(TEXTS)


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(found(text)) for text in TEXTS)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
