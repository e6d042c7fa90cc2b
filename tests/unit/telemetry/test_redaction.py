"""Would catch a secret that a trace shows, and an ordinary sentence that redaction spoils."""

from __future__ import annotations

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
