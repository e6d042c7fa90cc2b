"""Would catch: pieces merged so that reasoning and text change their order, or a count or an end is lost.

And a service that does not tell who shares it, or whose log is full of what orchestrators ask each second.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import BackendUnavailable
from tandem.inference.servicer import InferenceServicer, Piece, merge
from tandem.serving.clients import GrpcInference
from tandem.telemetry.logs import toggle_debug
from tandem.v1 import inference_pb2, inference_pb2_grpc, types_pb2
from tests.fakes.calls import call
from tests.fakes.inference import ScriptedInference, saying
from tests.fakes.listening import listening

FINISHED = inference_pb2.InferFinished(finish_reason=types_pb2.FINISH_REASON_STOP)


def test_neighbours_become_one() -> None:
    earlier = Piece(reasoning="a", output_tokens=2)
    assert merge(earlier, Piece(reasoning="b", text="c", output_tokens=3))
    assert merge(earlier, Piece(text="d", finished=FINISHED))
    assert earlier == Piece(reasoning="ab", text="cd", output_tokens=5, finished=FINISHED)


def test_reasoning_after_text_stays_apart() -> None:
    earlier = Piece(text="a")
    assert not merge(earlier, Piece(reasoning="b"))
    assert earlier == Piece(text="a")


@given(
    st.lists(
        st.builds(Piece, text=st.sampled_from(["", "t", "u"]), reasoning=st.sampled_from(["", "r", "s"]))
    )
)
def test_merging_changes_nothing_that_is_shown(pieces: list[Piece]) -> None:
    def shown(found: list[Piece]) -> str:
        return "".join(piece.reasoning.upper() + piece.text for piece in found)

    before, merged = shown(pieces), list[Piece]()
    for piece in pieces:
        if not (merged and merge(merged[-1], piece)):
            merged.append(piece)
    assert shown(merged) == before


@pytest.mark.parametrize("name", [field.name for field in Piece.DESCRIPTOR.fields])
def test_no_field_is_lost(name: str) -> None:
    full = Piece(text="t", reasoning="r", output_tokens=1, finished=FINISHED)
    later = Piece()
    value = getattr(full, name)
    if name == "finished":
        later.finished.CopyFrom(value)
    else:
        setattr(later, name, value)
    earlier = Piece()
    assert merge(earlier, later)
    assert getattr(earlier, name) == value


async def test_a_service_tells_how_many_share_it() -> None:
    servicer = InferenceServicer(ScriptedInference(saying("x")), lambda: 3)
    async with listening(
        lambda server: inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server),
        services=("tandem.v1.InferenceService",),
    ) as served:
        capabilities = await GrpcInference(served.channel, "r1").get_capabilities(call())
    assert (capabilities.sharers, len(capabilities.variants)) == (3, 1)


async def test_what_orchestrators_ask_each_second_is_in_the_log_only_when_it_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inference = ScriptedInference(saying("x"))
    servicer = InferenceServicer(inference, lambda: 1)
    async with listening(
        lambda server: inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server),
        services=("tandem.v1.InferenceService",),
    ) as served:
        asking = GrpcInference(served.channel, "r1")
        await asking.get_capabilities(call())
        assert "request" not in "".join(capsys.readouterr())
        inference.failure = BackendUnavailable("gone")
        with pytest.raises(BackendUnavailable):
            await asking.get_capabilities(call())
        assert "BACKEND_UNAVAILABLE" in "".join(capsys.readouterr())
        inference.failure = None
        toggle_debug()
        try:
            await asking.get_capabilities(call())
        finally:
            toggle_debug()
        assert "GetCapabilities" in "".join(capsys.readouterr())
