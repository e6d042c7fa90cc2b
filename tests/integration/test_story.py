"""Would catch a story that is not what the client saw, or that cannot be told while the system runs."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tandem.client import Client
from tests.integration.asking import sim
from tests.system import TANDEM, Tandem, ledger_beside

pytestmark = pytest.mark.asyncio(loop_scope="session")

STORY = "Qubits are cold. 量子 need quiet."
AT = 22


async def told(system: Tandem, name: str) -> dict[str, Any]:
    """Return the story of a request; it is booked a moment after its end."""
    command = [str(TANDEM), "trace", name, "--json", "--database", ledger_beside(system.log_file)]
    end = time.monotonic() + 40.0
    while True:
        process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
        output, errors = await process.communicate()
        if process.returncode == 0:
            (found,) = json.loads(output)["requests"]
            return dict(found)
        assert time.monotonic() < end, errors.decode()
        assert f"no request {name} in the ledger" in errors.decode()
        assert json.loads(output) == {"requests": [], "matches": []}


async def test_the_story_of_a_stream_that_was_taken_over(system: Tandem, client: Client) -> None:
    prompt = f"{sim(text=STORY, chunk_chars=1)} {sim('pro', fault='oom', at=AT)}"
    stream = client.stream(prompt, tier="pro", no_cache=True, deadline_seconds=5)
    (seam,) = [event.seam async for event in stream if event.HasField("seam")]

    found = await told(system, stream.answer.request_id[:-2])

    assert found["request_id"] == stream.answer.request_id
    offsets = [attempt["seam_byte_offset"] for attempt in found["attempts"]]
    assert offsets == [None, seam.byte_offset] == [None, len(STORY[:AT].encode())]
    assert (found["chosen_by"], found["threshold"], found["rule"]) == ("client", None, None)
    assert found["story"]["why"] == "pro/fp16: the client asked for it"
    told_events = [(event["what"], event["text"].split(":")[0]) for event in found["story"]["events"]]
    assert [what for what, _ in told_events if what != "queued"] == [
        "asked",
        *("started", "first_token", "ended"),
        *("started", "first_token", "ended"),
        "finished",
    ]
    assert f"r1/int8 takes over at byte {seam.byte_offset}" in str(told_events)
    assert found["story"]["not_as_planned"][0].startswith("out of memory of pro/fp16 → r1/int8")
    # What was granted is what the request had when it arrived.
    assert 0 < found["deadline_ms"] <= 5000
    assert found["story"]["left_ms"] == pytest.approx(
        found["deadline_ms"] - stream.answer.duration_ms, abs=0.01
    )


async def test_why_the_score_sent_a_request_where_it_went(system: Tandem, client: Client) -> None:
    answer = await client.ask(f"What is the capital of France? {sim(text='Paris')}", no_cache=True)

    found = await told(system, answer.request_id)

    assert found["chosen_by"] == "score"
    assert (found["r1_suffices"], found["threshold"]) == (
        pytest.approx(answer.signals.r1_suffices.value, abs=1e-5),
        pytest.approx(answer.plan.threshold, abs=1e-5),
    )
    assert (found["tier"] == "r1") == (found["r1_suffices"] >= found["threshold"])
    assert f"{found['threshold']:.2f}" in found["story"]["why"]
