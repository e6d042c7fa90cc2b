"""Would catch: a key that can be guessed, a key of two tenants, and a key that a message about a mistake repeats."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.serving.keys import digest, load_keys, new_key, parse_keys
from tandem.yaml_document import DocumentError

A, B = "a" * 64, "b" * 64
KEY = "tdm_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


def document(tmp_path: Path, *entries: str) -> Path:
    file = tmp_path / "keys.yaml"
    file.write_text("\n".join(["version: 1", "keys:", *(f"  - {entry}" for entry in entries)]))
    return file


def problems(file: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        load_keys(file)
    return [str(problem) for problem in caught.value.problems]


def test_a_key_has_256_bits_of_its_own() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("tdm_") and len(bytes.fromhex(key[4:])) == 32 for key in keys)


def test_the_hash_is_plain_sha256() -> None:
    assert digest(KEY) == hashlib.sha256(KEY.encode()).hexdigest()


# --- the document


def test_many_keys_of_many_tenants(tmp_path: Path) -> None:
    entries = (
        f"{{tenant: shop, sha256: {A}, name: night shift}}",
        f"{{tenant: shop, sha256: {B}}}",
        f"{{tenant: bank, sha256: {'c' * 64}}}",
    )
    found = load_keys(document(tmp_path, *entries))
    assert found.tenants == {A: "shop", B: "shop", "c" * 64: "bank"}
    assert [entry.name for entry in found.keys] == ["night shift", None, None]


def test_no_keys_are_a_document_too(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("version: 1\nkeys: []\n")
    assert load_keys(file).tenants == {}


@pytest.mark.parametrize("tenants", [("shop", "bank"), ("shop", "shop")])
def test_a_key_given_twice(tmp_path: Path, tenants: tuple[str, str]) -> None:
    file = document(tmp_path, *(f"{{tenant: {tenant}, sha256: {A}}}" for tenant in tenants))
    (found,) = problems(file)
    assert found.startswith("4:20: keys[1].sha256: is that of keys[0], too")


def test_a_key_that_the_environment_has_too(tmp_path: Path) -> None:
    file = document(tmp_path, f"{{tenant: shop, sha256: {A}}}")
    with pytest.raises(DocumentError, match=r"keys\[0\].sha256: is configured in the environment, too"):
        load_keys(file, {A: "shop"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f"{{tenant: shop, sha256: {A[1:]}}}", "keys[0].sha256: must be 64 digits of 0-9 and a-f"),
        (f"{{tenant: shop, sha256: {A.upper()}}}", "keys[0].sha256: must be 64 digits of 0-9 and a-f"),
        (f"{{tenant: shop, sha256: {A}, nam: x}}", "keys[0].nam: is not known; did you mean name?"),
        (f"{{tenant: a b, sha256: {A}}}", "keys[0].tenant: must match"),
        (f"{{tenant: shop, sha256: {A}, name: ''}}", "keys[0].name: must have at least 1 characters"),
        (f"{{sha256: {A}}}", "keys[0].tenant: is missing"),
        ("{tenant: shop}", "keys[0].sha256: is missing"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, entry: str, message: str) -> None:
    (found,) = problems(document(tmp_path, entry))
    assert found.partition(": ")[2].startswith(message)


@pytest.mark.parametrize(
    "entry",
    [
        f"{{tenant: shop, sha256: {KEY}}}",
        f"{{tenant: shop, sha256: {KEY[4:]}0}}",
        f"{{tenant: {KEY}, sha256: {A}}}",
        f"{{tenant: shop, sha256: {A}, name: {KEY}}}",
        f"{{tenant: shop, sha256: {A}, key: {KEY}}}",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path: Path, entry: str) -> None:
    found = problems(document(tmp_path, entry))
    assert found
    assert KEY[4:12] not in str(found)


# --- the environment variable


def test_keys_of_the_environment() -> None:
    assert parse_keys(json.dumps({"shop": [A, B], "bank": "c" * 64})) == {
        A: "shop",
        B: "shop",
        "c" * 64: "bank",
    }
    assert parse_keys("{}") == {}


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", KEY, json.dumps({"shop": KEY}), json.dumps({KEY: "shop"}), json.dumps({"a b": A})],
)
def test_what_is_no_such_object(text: str) -> None:
    with pytest.raises(ValueError, match="must be a JSON object") as caught:
        parse_keys(text)
    assert KEY[4:12] not in str(caught.value)


@pytest.mark.parametrize("both", [{"shop": [A, A]}, {"shop": A, "bank": [B, A]}])
def test_a_key_given_twice_in_the_environment(both: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="remove one of the two"):
        parse_keys(json.dumps(both))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_keys(text), dict)
