"""Would catch a secret that a trace shows, an ordinary sentence that redaction spoils, and a text that holds it up."""

from __future__ import annotations

import time

import pytest

from tandem.telemetry.redaction import BLOT, Redaction


@pytest.mark.parametrize(
    "secret",
    [
        "ada.lovelace+test@mail.example.co.uk",
        "+49 30 1234567",
        "+1 (555) 010-9999",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "sk-proj-abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "password: hunter2hunter2",
        "api_key=abcdef123456",
        "Bearer abcdef.ghijkl",
    ],
)
def test_what_is_nobodys_business_is_blotted_out(secret: str) -> None:
    said = Redaction()(f"Look: {secret} and so on.")
    assert secret not in said
    assert BLOT in said
    assert said.startswith("Look: ")
    assert said.endswith("and so on.")


@pytest.mark.parametrize(
    "text",
    [
        "Why is the sky blue?",
        "In 2024 there were 1,234,567 of them, 12.5 % more than in 2019.",
        "Solve x^2 + 3x - 10 = 0 for x.",
        "The token is the unit of a language model.",
        "把这段话翻译成英文。",
        "def f(a, b=3): return a[1:2] + b",
        "Version 1.2.3 came out on 2024-05-17 at 12:30.",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redaction()(text) == text


def test_an_operator_may_add_patterns() -> None:
    assert Redaction([r"Patient \d+"])("Patient 17 sleeps") == f"{BLOT} sleeps"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 32_768,
        "QUJD+w" * 5_461,
        "1" * 32_768,
        "1-" * 16_384,
        "-" * 32_768,
        " " * 32_768,
        ". " * 16_384,
        "token" + " " * 32_763,
        "secret" + "\"' " * 10_920,
        "password" + "=" * 32_760,
        "1" + " " * 32_767,
        "a@" * 16_384,
        "a@" + "b" * 32_766,
    ],
    ids=lambda text: f"{text[:9]}…",
)
def test_no_text_holds_it_up(text: str) -> None:
    """Its milliseconds grow with the length, and not with the square of it, which were seconds."""
    redact = Redaction()
    begun = time.thread_time()
    redact(text)
    assert time.thread_time() - begun < 1.0
