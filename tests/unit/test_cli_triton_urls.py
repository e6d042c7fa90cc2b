"""Would catch: a tier that asks another tier's Triton, or a mistake in the option that only answers show."""

from __future__ import annotations

import pytest

from tandem.cli.triton_urls import TritonUrlInvalid, addresses_by_tier

TIERS = ("r1", "pro")


@pytest.mark.parametrize(
    ("urls", "addresses"),
    [
        ([], {}),
        (["a:8001"], {"r1": "a:8001", "pro": "a:8001"}),
        (["r1=a:1", "pro=b:2"], {"r1": "a:1", "pro": "b:2"}),
        (["a:1", "pro=b:2"], {"r1": "a:1", "pro": "b:2"}),
        (["r1=dns:///triton:8001", "pro=[::1]:2"], {"r1": "dns:///triton:8001", "pro": "[::1]:2"}),
    ],
)
def test_every_tier_has_an_address(urls: list[str], addresses: dict[str, str]) -> None:
    assert addresses_by_tier(urls, TIERS) == addresses


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        (["r1=a:1"], "says nothing about pro: add --triton-url pro=HOST:PORT, or HOST:PORT without a tier"),
        (["fast=a:1", "pro=b:2"], "names the tier 'fast', which the catalogue does not have; it has r1, pro"),
        (["=a:1"], "names the tier '', which the catalogue does not have"),
        (["a"], "--triton-url a is neither HOST:PORT nor TIER=HOST:PORT"),
        (["r1=a"], "r1=a is neither"),
        (["a:1", "b:2"], "--triton-url b:2 is the second one for all tiers"),
        (["r1=a:1", "r1=b:2", "pro=c:3"], "r1=b:2 is the second one for r1"),
    ],
)
def test_a_mistake_is_explained(urls: list[str], words: str) -> None:
    with pytest.raises(TritonUrlInvalid) as caught:
        addresses_by_tier(urls, TIERS)
    assert words in str(caught.value)
