"""Would catch a service that starts with settings it cannot use, and a message without a way out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def start(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `tandem` that should end by itself, and return how it did."""
    return subprocess.run(
        [sys.executable, "-m", "tandem.cli", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


@pytest.mark.parametrize(
    ("service", "name", "value", "said"),
    [
        ("classifier", "TANDEM_CLASSIFIER_DRAIN_SECONDS", "soon", "TANDEM_CLASSIFIER_DRAIN_SECONDS: "),
        ("fusion", "OTEL_TRACES_SAMPLER", "sometimes", "OTEL_TRACES_SAMPLER: Input should be 'always_on'"),
        ("fusion", "TANDEM_FUSION_LOG_FORMAT", "xml", "'json' or 'console'"),
        (
            "orchestrator",
            "TANDEM_ORCHESTRATOR_API_KEYS",
            '{"shop": "tdm_secret"}',
            "_API_KEYS: Value error, must be",
        ),
        ("orchestrator", "TANDEM_ORCHESTRATOR_CACHE_URL", "redis://:s3cret@h:port", "must be redis://HOST"),
        ("inference", "TANDEM_INFERENCE_LISTEN", "127.0.0.1:0", "TANDEM_INFERENCE_TIER: Field required"),
    ],
)
def test_a_wrong_setting_ends_the_start_and_is_named(service: str, name: str, value: str, said: str) -> None:
    done = start("serve", service, **{name: value})
    assert done.returncode == 2
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert "s3cret" not in done.stderr
    assert f"tandem serve {service} --settings" in done.stderr


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_wrong_setting_of_tracing_ends_the_start_before_anything_is_fetched(command: str) -> None:
    done = start(command, OTEL_BSP_SCHEDULE_DELAY="0")
    assert done.returncode == 2
    assert (
        "OTEL_BSP_SCHEDULE_DELAY: Input should be greater than or equal to 1; see `tandem serve"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("serve", "classifier"), ("up", "--ledger", "none")])
def test_an_artifact_that_is_not_there_ends_the_start_at_once(command: tuple[str, ...]) -> None:
    done = start(*command, TANDEM_CLASSIFIER_ARTIFACT="/nowhere")
    assert done.returncode == (2 if "serve" in command else 1)
    assert "/nowhere: it cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("serve", "orchestrator"), ("up", "--ledger", "sqlite:///:memory:")])
def test_a_ledger_that_cannot_be_opened_ends_the_start_at_once(command: tuple[str, ...]) -> None:
    done = start(*command, TANDEM_ORCHESTRATOR_LEDGER="sqlite:///:memory:")
    assert done.returncode == 1
    assert "names no file, so nothing would last" in done.stderr
    assert "Traceback" not in done.stderr
