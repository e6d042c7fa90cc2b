"""Answering one request: a draft first if the model is one that drafts, then the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from booking.books import Entry

from .completion import Delta, Engine, completion_options
from .delivery import Delivery, Sender
from .errors import EngineError
from .request import Request, Sampling
from .settings import DraftSettings

LEAST_FOR_DRAFT_TOKENS = 32
"""A request that may take fewer tokens than this gets no draft: they would be gone before the answer."""
LEAST_FOR_ANSWER_TOKENS = 64
"""A draft ends early rather than leave less of the context than this to the answer."""


class Answering:
    """The life of one request, from its slot being free to its last response."""

    def __init__(
        self, request: Request, sender: Sender, engine: Engine, entry: Entry, draft: DraftSettings | None
    ) -> None:
        self._request = request
        self._sender = sender
        self._engine = engine
        self._entry = entry
        self._draft = draft
        self._delivery = Delivery(request, sender)
        self._made = 0
        self._cancelled = False

    def run(self) -> None:
        """Answer the request, blocking. Never raises: what goes wrong becomes an in-band error."""
        try:
            if self._sender.is_cancelled() or not self._entry.begin():
                self._sender.close()
            else:
                self._answer()
        finally:
            self._entry.end()

    def _answer(self) -> None:
        try:
            prompt = self._prompt_with_draft()
            finish_reason = "" if self._cancelled else self._make_answer(prompt)
        except EngineError as error:
            self._sender.fail(str(error))
        except Exception as error:  # noqa: BLE001  # else the client would wait forever
            self._sender.fail(f"the engine has a fault: {error!r}")
        else:
            if self._cancelled:
                self._sender.close()
            else:
                self._delivery.finish(finish_reason)

    def _prompt_with_draft(self) -> str:
        """The prompt to answer: the request's own, with a draft behind it if one could be made."""
        draft, prompt = self._draft, self._request.prompt
        limit = self._request.sampling.max_tokens
        too_short = limit is not None and limit < LEAST_FOR_DRAFT_TOKENS
        if draft is None or too_short or not prompt.endswith(draft.generation_prompt):
            return prompt
        text = self._make_draft(draft, draft.tokens if limit is None else min(draft.tokens, limit // 2))
        return f"{prompt}{draft.cue}{text}{draft.turn}" if text.strip() else prompt

    def _make_draft(self, draft: DraftSettings, tokens: int) -> str:
        """Deliver a draft as reasoning and return it; it is empty if the context has no room for one."""
        written: list[str] = []

        def take(delta: Delta, new_tokens: int) -> bool:
            room = self._room_for_draft(draft, delta.prompt_tokens)
            text = delta.text if room > 0 else ""
            opening = f"<think>{draft.cue}" if text and not written else ""
            self._delivery.add(opening + text, new_tokens, delta.logprobs)
            if text:
                written.append(text)
            return 0 < delta.made >= room

        sampling = Sampling(
            max_tokens=tokens,
            temperature=draft.temperature,
            seed=self._request.sampling.seed,
            stop=("<think>", "</think>"),
            logprobs=self._request.sampling.logprobs,
        )
        self._complete(self._request.prompt + draft.cue, sampling, take)
        if written and not self._cancelled:
            self._delivery.add("</think>", 0)
        return "".join(written)

    def _room_for_draft(self, draft: DraftSettings, prompt_tokens: int) -> int:
        # No text has more tokens than bytes; counting them exactly would take another call of the model.
        turn_tokens = len(draft.turn.encode())
        return self._engine.context_tokens - prompt_tokens - turn_tokens - LEAST_FOR_ANSWER_TOKENS

    def _make_answer(self, prompt: str) -> str:
        """Deliver the answer itself and return why it ended."""
        finish_reason = "stop"

        def take(delta: Delta, new_tokens: int) -> bool:
            nonlocal finish_reason
            finish_reason = delta.finish_reason or finish_reason
            self._delivery.add(delta.text, new_tokens, delta.logprobs)
            return False

        sampling = self._request.sampling
        if sampling.max_tokens is not None:
            sampling = replace(sampling, max_tokens=sampling.max_tokens - self._made)
        self._complete(prompt, sampling, take)
        return finish_reason

    def _complete(self, prompt: str, sampling: Sampling, take: Callable[[Delta, int], bool]) -> None:
        """Run one completion; `take` gets each delta and its count of new tokens, and returns True to stop."""
        made = 0

        def on_delta(delta: Delta) -> bool:
            nonlocal made
            new_tokens = max(0, delta.made - made)
            made += new_tokens
            self._count(new_tokens, delta.prompt_tokens)
            self._cancelled = self._sender.is_cancelled()
            return self._cancelled or take(delta, new_tokens)

        self._engine.complete(completion_options(prompt, sampling, self._request.wants_logprobs), on_delta)

    def _count(self, new_tokens: int, prompt_tokens: int) -> None:
        if not new_tokens:
            return
        if not self._made:  # with its first token a prompt has been read to the end
            self._delivery.input_tokens = prompt_tokens
            self._entry.add_input(prompt_tokens)
        self._made += new_tokens
        self._entry.add_output(new_tokens)
