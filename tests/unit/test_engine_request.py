"""Would catch: an engine that reads the vLLM signature wrongly or lets a bad parameter through to llama.cpp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamacpp_engine.completion import completion_options
from llamacpp_engine.errors import RequestError
from llamacpp_engine.request import Request, Sampling, read_request, read_sampling


def text(*values: bytes) -> Any:
    return np.array(values, dtype=np.object_)


def test_a_prompt_alone_is_a_request_with_defaults() -> None:
    assert read_request({"text_input": text("你好".encode())}) == Request("你好", Sampling(), frozenset())


def test_flags_count_only_when_true() -> None:
    inputs = {"text_input": text(b"x"), "stream": np.array([True]), "return_logprobs": np.array([False])}
    request = read_request(inputs)
    assert request.flags == {"stream"}
    assert not request.wants_logprobs


@pytest.mark.parametrize("flag", ["return_logprobs", "return_cumulative_logprob"])
def test_log_probabilities_are_computed_when_either_form_is_asked_for(flag: str) -> None:
    assert read_request({"text_input": text(b"x"), flag: np.array([True])}).wants_logprobs


def test_no_image_is_seen_but_an_empty_tensor_is_no_image() -> None:
    with pytest.raises(RequestError, match="sees no images"):
        read_request({"text_input": text(b"x"), "image": text(b"aGk=")})
    assert read_request({"text_input": text(b"x"), "image": text()}).prompt == "x"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"text_input": text(b"")}, "text_input is empty"),
        ({"text_input": text(b"\xff")}, "text_input is not UTF-8"),
        ({"text_input": text(b"x"), "sampling_parameters": text(b"{")}, "is not JSON"),
        ({"text_input": text(b"x"), "sampling_parameters": text(b"[]")}, "must be a JSON object"),
    ],
)
def test_inputs_that_can_not_be_used_are_named(inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read_request(inputs)


def test_all_sampling_parameters_are_read() -> None:
    sizes = '"max_tokens": 9, "top_k": 7, "seed": 3, "logprobs": 2'
    assert read_sampling(f'{{{sizes}, "temperature": 0, "top_p": 0.5, "stop": ["a"]}}') == Sampling(
        9, 0.0, 0.5, 7, 3, ("a",), 2
    )
    assert read_sampling('{"stop": "a", "top_k": -1, "seed": null}') == Sampling(stop=("a",), top_k=0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ('{"max_tokens": 0}', "whole number of at least 1"),
        ('{"max_tokens": 2.5}', "whole number of at least 1"),
        ('{"max_tokens": true}', "whole number of at least 1"),
        ('{"temperature": -0.1}', "at least 0"),
        ('{"temperature": NaN}', "at least 0"),
        ('{"temperature": Infinity}', "at least 0"),
        ('{"temperature": "hot"}', "at least 0"),
        ('{"top_p": 1.1}', "at most 1"),
        ('{"top_k": -2}', "at least -1"),
        ('{"seed": "x"}', "whole number"),
        ('{"logprobs": -1}', "at least 0"),
        ('{"stop": [""]}', "not empty"),
        ('{"stop": 5}', "list of texts"),
        ('{"presence": 1}', "known are max_tokens, temperature"),
    ],
)
def test_a_bad_sampling_parameter_is_named_with_what_it_must_be(parameters: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read_sampling(parameters)


@given(st.integers())
def test_any_seed_fits_into_llama_cpp_and_never_means_a_random_one(seed: int) -> None:
    read = read_sampling(f'{{"seed": {seed}}}').seed
    assert read is not None
    assert 0 <= read < 0xFFFF_FFFF


def test_llama_cpp_is_asked_for_exactly_what_the_request_says() -> None:
    options = completion_options("p", Sampling(9, 0.1, 0.5, 7, 3, ("a",)), logprobs=True)
    wanted = {"prompt": "p", "n_predict": 9, "temperature": 0.1, "top_p": 0.5, "top_k": 7, "seed": 3}
    assert options.items() >= {**wanted, "min_p": 0.0, "n_probs": 1, "stream": True}.items()
    assert options["stop"] == ["a"]
    bare = completion_options("p", Sampling(), logprobs=False)
    assert bare["n_predict"] == -1
    assert not {"seed", "n_probs"} & bare.keys()
