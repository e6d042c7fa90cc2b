"""Would catch: a byte that is lost or repeated where one model goes on from another, or text behind the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.call import Call
from tandem.errors import (
    BackendUnavailable,
    OutOfMemory,
    TandemError,
)
from tandem.orchestrator.joined import Joined
from tandem.simulation import virtual_time
from tandem.v1 import inference_pb2, types_pb2
from tests.fakes.attempts import Run, run, shown
from tests.fakes.calls import call
from tests.fakes.inference import Piece, ScriptedInference, finished, saying, text

pytestmark = pytest.mark.virtual_time


# --- takeover


class Author(ScriptedInference):
    """Writes a text character by character, going on from what was shown; fails after some characters of its own."""

    def __init__(self, whole: str, failures: list[tuple[int, TandemError]]) -> None:
        super().__init__([])
        self.whole = whole
        self.failures = failures

    async def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[Piece, None]:
        rest = self.whole.removeprefix(request.continuation_prefix)
        length, error = self.failures.pop(0) if self.failures else (len(rest), None)
        for character in rest[:length]:
            yield text(character)
        if error:
            raise error
        yield finished(len(rest))


@pytest.mark.parametrize("cut", range(9))
async def test_a_stop_string_across_the_seam_ends_the_answer(cut: int) -> None:
    """The first model has written a part of `<STOP>`; the second one completes it."""
    whole = "ab<STOP>z"
    tried = run([text(whole[:cut]), OutOfMemory("full")], [], again=saying(*whole[cut:]))
    tried.plan.attempts[0].sampling.stop.append("<STOP>")
    await tried.answer()
    if 2 < cut < 8:
        assert tried.result.text == whole[:cut] + whole[cut:7]
        assert tried.result.finish_reason == types_pb2.FINISH_REASON_STOP
    else:
        # before and behind it, a stop string is the engine's business
        assert tried.result.text == whole


def test_a_stop_string_of_the_second_model_that_the_first_one_wrote_is_text() -> None:
    joined = Joined()
    joined.attempt([], whole_sentences=False)
    joined.add("say ### or #")
    joined.attempt(["###", "<|im_end|>"], whole_sentences=False)
    assert joined.add("1 to #9") == "1 to #9"
    assert not joined.complete


async def test_nothing_is_asked_for_that_the_cap_does_not_allow() -> None:
    tried = run([text("all of it", tokens=512), BackendUnavailable("dead")], saying("more"))
    await tried.answer()
    assert tried.result.text == "all of it"
    assert tried.result.finish_reason == types_pb2.FINISH_REASON_LENGTH
    assert tried.pro.requests == []


@given(st.text(min_size=1, max_size=12), st.data())
def test_no_byte_is_lost_or_repeated_wherever_it_is_cut(whole: str, data: st.DataObject) -> None:
    """Two models fail after some characters; each one goes on from what was shown."""
    lengths = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2))

    async def check() -> None:
        r1 = Author(whole, [(lengths[0], BackendUnavailable("dead"))])
        pro = Author(whole, [(lengths[1], OutOfMemory("full"))])
        tried = Run(r1, pro, call(10), max_attempts=3)
        events = await tried.events()
        assert shown(events) == tried.result.text == whole
        seen = ""
        for event in events:
            seen += event.text.delta
            if event.HasField("seam"):
                assert event.seam.byte_offset == len(seen.encode())

    virtual_time.run(check())
