"""Would catch: a response that clients read otherwise than the message that it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tandem.serving.envelope import Envelope
from tandem.v1 import orchestrator_pb2, types_pb2

FIELD = orchestrator_pb2.GenerateResponse.DESCRIPTOR.fields_by_name["answer"].number
LENGTHS = st.sampled_from(
    [0, 1, 100, 120, 121, 122, 123, 124, 125, 126, 127, 128, 16_379, 16_383, 16_384, 2_100_000]
)


@given(length=LENGTHS, request_id=st.text(max_size=20))
def test_it_is_written_as_the_message_that_it_stands_for(length: int, request_id: str) -> None:
    answer = types_pb2.Answer(text="x" * length, request_id=request_id)
    written = Envelope(FIELD, answer).SerializeToString()
    assert written == orchestrator_pb2.GenerateResponse(answer=answer).SerializeToString()


def test_an_empty_answer_is_there() -> None:
    read = orchestrator_pb2.GenerateResponse.FromString(
        Envelope(FIELD, types_pb2.Answer()).SerializeToString()
    )
    assert read.HasField("answer")


@given(field=st.integers(1, 2**29 - 1))
def test_every_number_of_a_field_is_written(field: int) -> None:
    written = Envelope(field, types_pb2.Answer()).SerializeToString()
    # As the reference implementation writes an unknown field, read back by it.
    read = types_pb2.Answer.FromString(written)
    assert field <= max(each.number for each in types_pb2.Answer.DESCRIPTOR.fields) or (
        read.SerializeToString() == written
    )
