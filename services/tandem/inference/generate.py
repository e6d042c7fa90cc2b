"""The core of inference: messages → prompt → engine → text, reasoning, usage, confidence."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

from tandem.call import Call
from tandem.catalogue import Catalogue, Tier, Variant
from tandem.clock import now
from tandem.errors import DeadlineExceeded, ModalityUnsupported
from tandem.inference.continuation import Continuation
from tandem.inference.cut_off import CutOff
from tandem.inference.engine import Engine, Loading, Piece, Prompt, Readiness
from tandem.inference.metrics import BY_ENGINE, LATE, RECEIVED, EngineMetrics, Inferred
from tandem.inference.reasoning import ReasoningSplitter
from tandem.inference.template import ChatTemplate
from tandem.modality import modalities, name_of
from tandem.v1 import inference_pb2, types_pb2

IMAGE: Final = types_pb2.MODALITY_IMAGE
ASLEEP: Final = "asleep: the first attempt that needs it has it loaded"


class _Known:
    """What one catalogue says of a tier; a request keeps to it from its beginning to its end."""

    def __init__(self, catalogue: Catalogue, tier: str) -> None:
        self.name = tier
        self.catalogue = catalogue
        self.tier: Tier = catalogue.tier(tier)
        self.template = ChatTemplate(catalogue.chat_templates[self.tier.chat_template])


class InferenceCore:
    """One tier's models; satisfies `tandem.protocols.Inference`."""

    def __init__(
        self,
        catalogue: Catalogue,
        tier: str,
        engine: Engine,
        readiness: Readiness,
        loading: Loading | None = None,
    ) -> None:
        self._name = tier
        self._loading = loading
        self._models: dict[str, str] = {}
        self.adopt(catalogue)
        self._engine = engine
        self._readiness = readiness
        self._cut_off = CutOff()
        self._metrics: EngineMetrics | None = None
        self.ready: dict[tuple[str, str], bool] = {}
        """Whether each variant could answer when Triton was asked last, by tier and variant."""

    def measure(self, metrics: EngineMetrics) -> None:
        """Tell the metrics, too, of answers that end."""
        self._metrics = metrics
        metrics.of(self)

    def adopt(self, catalogue: Catalogue) -> None:
        """Answer whatever comes from now on by another catalogue, which has the tier."""
        self._known = _Known(catalogue, self._name)
        # A variant that is gone may still be asked what its last attempts took.
        self._models.update({name: each.model for name, each in self._known.tier.variants.items()})

    async def infer(self, request: inference_pb2.InferRequest, call: Call) -> inference_pb2.InferResponse:
        """Answer in one message. Whoever calls ends it at the deadline: a service's edge, or the attempt's watchdog.

        Raises:
            TandemError: UnknownVariant, ModalityUnsupported, PromptTooLong, OutOfMemory, BackendUnavailable or
                BackendError.
        """
        answer = inference_pb2.InferResponse()
        async with aclosing(self._run(request, call, stream=False)) as messages:
            async for message in messages:
                answer.text += message.text
                answer.reasoning += message.reasoning
                if message.HasField("finished"):
                    answer.finished.CopyFrom(message.finished)
        return answer

    def stream_infer(
        self, request: inference_pb2.InferRequest, call: Call, *, buffered: bool = False
    ) -> AsyncGenerator[inference_pb2.StreamInferResponse, None]:
        """Answer piece by piece. Raises as `infer`. In memory a piece costs nothing: none is held back."""
        return self._run(request, call, stream=True)

    async def settle_usage(
        self, request: inference_pb2.SettleUsageRequest, call: Call
    ) -> inference_pb2.SettleUsageResponse:
        """Tell what an attempt took by the engine's own count, or what it had sent if the engine does not know.

        Raises:
            TandemError: UnknownVariant, or DeadlineExceeded while the engine is away.
        """
        model = (
            self._models.get(request.variant)
            or self._known.catalogue.variant(self._name, request.variant).model
        )
        try:
            async with asyncio.timeout_at(call.deadline):
                usage = await self._engine.receipt(model, request.attempt, call)
        except TimeoutError as error:
            if self._metrics:
                self._metrics.settled(self._name, request.variant, LATE)
            raise DeadlineExceeded(
                f"{model} did not say in time what the attempt took; ask again when it is back"
            ) from error
        if self._metrics:
            self._metrics.settled(self._name, request.variant, RECEIVED if usage is None else BY_ENGINE)
        if usage is not None:
            return inference_pb2.SettleUsageResponse(usage=usage, settled=True)
        return inference_pb2.SettleUsageResponse(usage=self._cut_off.usage(call.request_id, request.attempt))

    async def get_capabilities(self, call: Call) -> inference_pb2.GetCapabilitiesResponse:
        """Tell the variants and which of them Triton says are ready."""
        tier = self._known.tier
        problems = await self._readiness.problems([v.model for v in tier.variants.values()], call)
        self.ready = {(self._name, name): not problems[v.model] for name, v in tier.variants.items()}
        asleep = {v.model for v in tier.variants.values() if await self._is_asleep(v, problems[v.model])}
        return inference_pb2.GetCapabilitiesResponse(
            tier=self._name,
            instances=self._readiness.instances,
            variants=[
                inference_pb2.Capability(
                    variant=name,
                    model=variant.model,
                    ready=not problems[variant.model],
                    problem=ASLEEP if variant.model in asleep else problems[variant.model],
                    asleep=variant.model in asleep,
                    context_tokens=variant.context_tokens,
                    modalities=tier.modalities,
                )
                for name, variant in tier.variants.items()
            ],
        )

    def _pieces(
        self, variant: Variant, prompt: Prompt, stream: bool, call: Call
    ) -> AsyncGenerator[Piece, None]:
        """Yield what the engine makes, once the variant is loaded."""
        if variant.on_demand and self._loading is not None:
            return self._woken(self._loading.awake(variant), prompt, stream, call)
        return self._engine.generate(prompt, stream, call)

    async def _woken(
        self, awake: AbstractAsyncContextManager[None], prompt: Prompt, stream: bool, call: Call
    ) -> AsyncGenerator[Piece, None]:
        async with awake, aclosing(self._engine.generate(prompt, stream, call)) as pieces:
            async for piece in pieces:
                yield piece

    async def _is_asleep(self, variant: Variant, problem: str) -> bool:
        if not variant.on_demand or self._loading is None:
            return False
        if not problem:
            self._loading.found_ready(variant)
            return False
        return await self._loading.is_asleep(variant)

    async def _run(
        self, request: inference_pb2.InferRequest, call: Call, stream: bool
    ) -> AsyncGenerator[inference_pb2.StreamInferResponse, None]:
        known = self._known
        variant = known.catalogue.variant(self._name, request.variant)
        images = _images(request.messages) if IMAGE in _modalities(request.messages, known) else ()
        continuation = Continuation(request.continuation_prefix)
        prompt = _prompt(request, tuple(images), variant, continuation, known)
        splitter = ReasoningSplitter(known.tier.reasoning, continued=bool(continuation.prompt_suffix))
        tally = _Tally(variant.model, now())
        last: inference_pb2.StreamInferResponse | None = None
        try:
            async with aclosing(self._pieces(variant, prompt, stream, call)) as pieces:
                async for piece in pieces:
                    tally.add(piece)
                    split = splitter.feed(piece.text)
                    text = continuation.feed(split.text)
                    if text or split.reasoning or piece.output_tokens:
                        if last is not None:
                            yield last
                        last = inference_pb2.StreamInferResponse(
                            text=text,
                            reasoning=split.reasoning,
                            output_tokens=piece.output_tokens,
                            input_tokens=tally.new_input_tokens(),
                        )
                    # What says why the answer ends travels with the end, which comes with it or right after it.
                    if last is not None and not piece.finish_reason:
                        yield last
                        last = None
                tally.complete = True
        finally:
            if not tally.complete:
                self._cut_off.note(call.request_id, request.attempt, tally.usage())
            if self._metrics:
                self._metrics.ended(tally.inferred(self._name, request.variant, late=call.remaining() <= 0))
        last = last or inference_pb2.StreamInferResponse()
        rest = splitter.end()
        last.text += continuation.feed(rest.text)
        last.reasoning += rest.reasoning
        tally.finish(last.finished)
        yield last


def _prompt(
    request: inference_pb2.InferRequest,
    images: tuple[bytes, ...],
    variant: Variant,
    continuation: Continuation,
    known: _Known,
) -> Prompt:
    text = known.template.render(request.messages)
    tags = known.tier.reasoning
    if continuation.prompt_suffix and tags is not None and tags.starts_open:
        text += tags.close + "\n\n"
    sampling = types_pb2.Sampling()
    sampling.CopyFrom(request.sampling)
    sampling.stop.extend(known.tier.stop)
    return Prompt(
        variant.model,
        text + continuation.prompt_suffix,
        images,
        sampling,
        request.attempt,
    )


def _modalities(
    messages: Sequence[types_pb2.Message], known: _Known
) -> Sequence[types_pb2.Modality.ValueType]:
    """Return what there is to read.

    Raises:
        ModalityUnsupported: the tier cannot read all of it.
    """
    found = modalities(messages)
    for modality in found:
        if modality not in known.tier.modalities:
            raise ModalityUnsupported(
                f"tier {known.name} cannot read {name_of(modality)}; it reads "
                f"{', '.join(name_of(m) for m in known.tier.modalities)}"
            )
    return found


def _images(messages: Sequence[types_pb2.Message]) -> Iterable[bytes]:
    """Yield the pictures in the order of the conversation: encoded files, or their URIs."""
    for message in messages[:]:
        for part in message.parts[:]:
            if part.HasField("image"):
                yield part.image.data or part.image.uri.encode()


class _Tally:
    """Counts what an answer took."""

    def __init__(self, model: str, began: float) -> None:
        self.complete = False
        """Set when the engine said that nothing more comes."""
        self._model = model
        self._began = began
        self._first_token: float | None = None
        self._output_tokens = 0
        self._last: Piece | None = None
        self._told = False

    def new_input_tokens(self) -> int:
        """Return the tokens of the prompt the first time that they are known, then 0."""
        known = self._last.input_tokens if self._last and not self._told else 0
        self._told = self._told or known > 0
        return known

    def add(self, piece: Piece) -> None:
        if self._first_token is None:
            self._first_token = now()
        self._output_tokens += piece.output_tokens
        self._last = piece

    def usage(self) -> types_pb2.Usage:
        usage = types_pb2.Usage()
        self._count(usage)
        return usage

    def inferred(self, tier: str, variant: str, *, late: bool) -> Inferred:
        """Return what there is to tell; to be asked while the error that ended the answer, if any, is raised."""
        first = None if self._first_token is None else self._first_token - self._began
        error = None if self.complete else sys.exception()
        if late and isinstance(error, asyncio.CancelledError | GeneratorExit):
            error = TimeoutError()  # which ended it from outside
        return Inferred(tier, variant, self._model, now() - self._began, first, self._output_tokens, error)

    def finish(self, finished: inference_pb2.InferFinished) -> None:
        """Fill in what there is to say at the end."""
        finished.model = self._model
        if self._last is not None:
            finished.finish_reason = self._last.finish_reason
        confidence = self._confidence()
        if confidence is not None:
            finished.confidence = confidence
        self._count(finished.usage)

    def _count(self, usage: types_pb2.Usage) -> None:
        usage.input_tokens = self._last.input_tokens if self._last else 0
        usage.output_tokens = self._output_tokens

    def _confidence(self) -> float | None:
        """Return the geometric mean of the tokens' probabilities."""
        if self._last is None or self._last.cumulative_logprob is None or self._output_tokens == 0:
            return None
        return math.exp(min(0.0, self._last.cumulative_logprob / self._output_tokens))
