"""Would catch an encoder that does not tell meanings apart, fails on odd texts, or reads a long text to its end.

Runs where the extra `encoder` is installed.
"""

from __future__ import annotations

import numpy as np
import pytest

from tandem.classifier.encoder import Encoder, EncoderUnusable, named_encoder


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    """The real encoder."""
    try:
        return named_encoder("minilm")
    except EncoderUnusable as error:
        pytest.skip(str(error))


def test_what_means_the_same_is_near(minilm: Encoder) -> None:
    bread, loaf, proof = map(
        minilm.encode,
        (
            "How do I bake bread?",
            "What is the recipe for a loaf?",
            "Prove that the square root of 2 is irrational.",
        ),
    )
    assert bread @ loaf > 0.6
    assert bread @ proof < 0.2


@pytest.mark.parametrize(
    "text", ["", "\ud800 lone", "\x00\x01", "x" * 10**6, "证明根号2是无理数", "🧪" * 999]
)
def test_every_text_has_a_vector_of_length_1(minilm: Encoder, text: str) -> None:
    found = minilm.encode(text)
    assert found.shape == (minilm.spec.dimensions,)
    assert float(np.linalg.norm(found)) == pytest.approx(1, abs=1e-5)


def test_of_a_long_text_both_ends_are_read_and_the_middle_is_not(minilm: Encoder) -> None:
    def long(first: str = "one", middle: str = "one", last: str = "one") -> bytes:
        return minilm.encode(f"{first} {'word ' * 200} {middle} {'word ' * 200} {last}").tobytes()

    assert long(middle="bread") == long()
    assert long(first="bread") != long()
    assert long(last="bread") != long()
