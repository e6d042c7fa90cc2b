"""Requests that are right in everything but what a test gives them."""

from __future__ import annotations

from typing import Any

from tandem.v1 import classifier_pb2, fusion_pb2, inference_pb2, orchestrator_pb2, types_pb2


def text(content: str = "x") -> types_pb2.Part:
    """Return a piece of text."""
    return types_pb2.Part(text=content)


def message(*parts: types_pb2.Part, role: int = types_pb2.ROLE_USER) -> types_pb2.Message:
    """Return a message of the user, or of another role."""
    return types_pb2.Message(role=enum(role), parts=parts or (text(),))


def generate(*messages: types_pb2.Message, **fields: Any) -> orchestrator_pb2.GenerateRequest:
    """Return a question."""
    return orchestrator_pb2.GenerateRequest(messages=messages or (message(),), **fields)


def part(content: types_pb2.Part) -> orchestrator_pb2.GenerateRequest:
    """Return a question of one part."""
    return generate(message(content))


def sampling(**fields: Any) -> orchestrator_pb2.GenerateRequest:
    """Return a question with sampling."""
    return generate(sampling=types_pb2.Sampling(**fields))


def image(**fields: Any) -> orchestrator_pb2.GenerateRequest:
    """Return a question with a picture."""
    return part(types_pb2.Part(image=types_pb2.Image(**{"media_type": "image/png", **fields})))


def audio(**fields: Any) -> orchestrator_pb2.GenerateRequest:
    """Return a question with a recording."""
    given = {"data": b"x", "media_type": "audio/wav", **fields}
    return part(types_pb2.Part(audio=types_pb2.Audio(**given)))


def forget(request_id: str) -> orchestrator_pb2.ForgetAnswerRequest:
    """Return a request to forget."""
    return orchestrator_pb2.ForgetAnswerRequest(request_id=request_id)


def infer(variant: str = "fp16", prefix: str = "", count: int = 1) -> inference_pb2.InferRequest:
    """Return a prompt."""
    return inference_pb2.InferRequest(
        variant=variant, messages=[message()] * count, continuation_prefix=prefix
    )


def settle(variant: str = "fp16") -> inference_pb2.SettleUsageRequest:
    """Return the question what an attempt took."""
    return inference_pb2.SettleUsageRequest(variant=variant)


def classify(count: int) -> classifier_pb2.ClassifyRequest:
    """Return so many messages for the classifier."""
    return classifier_pb2.ClassifyRequest(messages=[message()] * count)


def candidate(**fields: Any) -> fusion_pb2.Candidate:
    """Return a candidate of a vote."""
    return fusion_pb2.Candidate(**{"target": types_pb2.Target(tier="r1", variant="fp16"), **fields})


def fuse(*candidates: fusion_pb2.Candidate, **fields: Any) -> fusion_pb2.FuseRequest:
    """Return a vote."""
    return fusion_pb2.FuseRequest(candidates=candidates, **fields)


def enum(value: int) -> Any:
    """Return a number as any enum; proto3 lets unknown ones pass."""
    return value
