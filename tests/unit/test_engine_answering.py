"""Would catch: tokens miscounted, text lost between llama.cpp and the client, a draft where none belongs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.books import Books
from booking.store import Counts, Store
from llamacpp_engine.answering import Answering
from llamacpp_engine.completion import Delta, TokenLogprob, read_chunk
from llamacpp_engine.delivery import Delivery, Tensors
from llamacpp_engine.errors import EngineError, RequestError
from llamacpp_engine.request import Request, Sampling
from llamacpp_engine.settings import DraftSettings

DRAFT = DraftSettings(tokens=96, temperature=0.2, cue="CUE", turn="TURN", generation_prompt="GO")
EVERYTHING = frozenset(
    ("stream", "return_finish_reason", "return_num_input_tokens", "return_num_output_tokens")
)


class Client:
    """The receiving end; goes away once it has got a number of responses."""

    def __init__(self, leaves_after: int = 10_000) -> None:
        self.leaves_after = leaves_after
        self.responses: list[Tensors] = []
        self.end = ""

    def send(self, tensors: Tensors, final: bool) -> None:
        assert not self.end
        self.responses.append(tensors)
        self.end = "final" if final else ""

    def fail(self, message: str) -> None:
        self.end = f"error: {message}"

    def close(self) -> None:
        self.end = "closed"

    def is_cancelled(self) -> bool:
        return len(self.responses) >= self.leaves_after

    def all_of(self, name: str) -> list[Any]:
        return [value for tensors in self.responses for value in tensors.get(name, [])]

    @property
    def text(self) -> str:
        return "".join(self.all_of("text_output"))


class ScriptedEngine:
    """Answers each completion with the next of its scripts, one token a piece, as llama.cpp would."""

    def __init__(self, *scripts: list[str] | EngineError, prompt_tokens: int = 10) -> None:
        self.context_tokens = 2048
        self.asked: list[Mapping[str, Any]] = []
        self._scripts = list(scripts)
        self._prompt_tokens = prompt_tokens

    def complete(self, options: Mapping[str, Any], on_delta: Callable[[Delta], bool]) -> None:
        self.asked.append(options)
        script = self._scripts.pop(0)
        if isinstance(script, EngineError):
            raise script
        limit = options["n_predict"]
        made = 0
        if on_delta(Delta("", 0, 3)):  # while the prompt is being read
            return
        for made, piece in enumerate(script[: limit if limit >= 0 else None], start=1):
            if on_delta(Delta(piece, made, self._prompt_tokens)):
                return
        reason = "length" if 0 <= limit <= len(script) else "stop"
        on_delta(Delta("", made, self._prompt_tokens, finish_reason=reason))


def run(
    engine: ScriptedEngine,
    client: Client,
    prompt: str = "hello GO",
    max_tokens: int | None = None,
    draft: DraftSettings | None = None,
    flags: frozenset[str] = EVERYTHING,
) -> dict[str, int]:
    """Answer one request; returns its receipt."""
    books = Books(Store(None))
    entry = books.open("test", client.is_cancelled)
    assert entry is not None
    Answering(Request(prompt, Sampling(max_tokens, seed=5), flags), client, engine, entry, draft).run()
    receipt = books.receipt("test")
    assert isinstance(receipt, Counts)
    assert receipt == books.totals()
    return receipt._asdict()


def test_an_answer_streams_token_by_token_and_every_token_is_counted_once() -> None:
    client = Client()
    books = run(ScriptedEngine(["The", " sky", ".", ""]), client)
    assert client.all_of("text_output") == ["The", " sky", ".", ""]
    assert client.all_of("num_output_tokens") == [1, 1, 1, 1]
    assert client.all_of("finish_reason") == ["None", "None", "None", "stop"]
    assert client.all_of("num_input_tokens") == [10] * 4
    assert (client.end, books) == ("final", {"requests": 1, "input_tokens": 10, "output_tokens": 4})


def test_an_answer_that_does_not_stream_is_one_response() -> None:
    client = Client()
    run(ScriptedEngine(["a", "b", "c"]), client, max_tokens=2, flags=EVERYTHING - {"stream"})
    assert client.all_of("text_output") == ["hello GOab"]
    assert (client.all_of("num_output_tokens"), client.all_of("finish_reason")) == ([2], ["length"])


def test_only_what_was_asked_for_comes_back() -> None:
    client = Client()
    run(ScriptedEngine(["a"]), client, flags=frozenset({"exclude_input_in_output"}))
    assert client.responses == [{"text_output": ["a"]}]


def test_a_client_that_has_left_costs_nothing() -> None:
    client, engine = Client(leaves_after=0), ScriptedEngine()
    assert run(engine, client) == {"requests": 0, "input_tokens": 0, "output_tokens": 0}
    assert (client.end, engine.asked) == ("closed", [])


@pytest.mark.parametrize("draft", [None, DRAFT])
def test_a_client_that_leaves_stops_the_engine_at_the_next_token(draft: DraftSettings | None) -> None:
    client = Client(leaves_after=2)
    engine = ScriptedEngine(["a"] * 50, ["b"] * 50)
    books = run(engine, client, draft=draft)
    assert (client.end, len(engine.asked), books["output_tokens"]) == ("closed", 1, 3)


def test_a_failure_is_told_in_band_also_in_the_middle() -> None:
    client = Client()
    run(ScriptedEngine(["d"], EngineError("no memory")), client, draft=DRAFT)
    assert client.end == "error: no memory"


def test_a_draft_is_reasoning_and_the_answer_is_asked_for_with_it_in_view() -> None:
    client = Client()
    engine = ScriptedEngine([" so", " it", ""], ["Yes", "!"])
    books = run(engine, client, max_tokens=64, draft=DRAFT)
    assert client.text == "<think>CUE so it</think>Yes!"
    assert [asked["prompt"] for asked in engine.asked] == ["hello GOCUE", "hello GOCUE so itTURN"]
    assert [asked["n_predict"] for asked in engine.asked] == [32, 61]
    assert [asked["seed"] for asked in engine.asked] == [5, 5]
    assert sum(client.all_of("num_output_tokens")) == books["output_tokens"] == 5
    assert (books["input_tokens"], books["requests"]) == (10, 1)


@given(st.integers(32, 400), st.integers(0, 200), st.integers(0, 400))
def test_draft_and_answer_together_keep_to_max_tokens(limit: int, thought: int, answered: int) -> None:
    client = Client()
    books = run(ScriptedEngine(["d"] * thought, ["a"] * answered), client, max_tokens=limit, draft=DRAFT)
    assert books["output_tokens"] <= limit
    assert sum(client.all_of("num_output_tokens")) == books["output_tokens"]
    assert client.text.count("d") <= min(96, limit // 2)


@pytest.mark.parametrize(("prompt", "max_tokens"), [("hello GO", 31), ("hello GO Once upon", 200)])
def test_neither_a_short_answer_nor_a_continuation_gets_a_draft(prompt: str, max_tokens: int) -> None:
    client, engine = Client(), ScriptedEngine(["x"])
    run(engine, client, prompt, max_tokens, DRAFT)
    assert (client.text, [asked["prompt"] for asked in engine.asked]) == ("x", [prompt])


def test_a_draft_leaves_room_in_the_context_for_the_answer() -> None:
    client, engine = Client(), ScriptedEngine(["d"] * 90, ["x"], prompt_tokens=2048 - 64 - len("TURN") - 7)
    run(engine, client, draft=DRAFT)
    assert client.text == f"<think>CUE{'d' * 7}</think>x"


def test_a_context_without_room_for_a_draft_gets_a_plain_answer() -> None:
    client, engine = Client(), ScriptedEngine(["d"] * 90, ["x"], prompt_tokens=2000)
    books = run(engine, client, draft=DRAFT)
    assert (client.text, engine.asked[1]["prompt"]) == ("x", "hello GO")
    assert sum(client.all_of("num_output_tokens")) == books["output_tokens"] == 2


def test_a_chunk_of_llama_cpp_is_read_with_its_counts_and_logprobs() -> None:
    entry = {"id": 504, "token": "The", "bytes": [84, 104, 101], "logprob": -0.5, "top_logprobs": []}
    choice = {"text": "The", "index": 0, "logprobs": {"content": [entry]}, "finish_reason": None}
    chunk = {"choices": [choice], "timings": {"cache_n": 15, "prompt_n": 1, "predicted_n": 3}}
    assert read_chunk(chunk) == Delta("The", 3, 16, (TokenLogprob(504, "The", -0.5),), None)
    last = {"choices": [{"text": "", "logprobs": None, "finish_reason": "length"}]}
    assert read_chunk(last) == Delta("", 0, 0, (), "length")


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers() -> None:
    error = {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 3001, "n_ctx": 2048}
    with pytest.raises(RequestError, match="prompt has 3001 tokens, context holds 2048"):
        read_chunk({"error": error})
    with pytest.raises(EngineError, match="could not answer: broken"):
        read_chunk({"error": {"code": 500, "type": "server_error", "message": "broken"}})


def test_tokens_without_a_logprob_count_as_the_mean_of_the_others() -> None:
    client = Client()
    flags = frozenset(("stream", "return_cumulative_logprob", "return_logprobs"))
    delivery = Delivery(Request("p", Sampling(), flags), client)
    delivery.add("a", 1, (TokenLogprob(1, "a", -1.0),))
    delivery.add("你", 3, (TokenLogprob(2, "?", -0.5),))
    delivery.finish("stop")
    assert client.all_of("cumulative_logprob") == [-1.0, -3.0, -3.0]
    assert [json.loads(text) for text in client.all_of("logprobs")] == [
        [{"1": {"logprob": -1.0, "rank": 1, "decoded_token": "a"}}],
        [{"2": {"logprob": -0.5, "rank": 1, "decoded_token": "?"}}],
        [],
    ]
