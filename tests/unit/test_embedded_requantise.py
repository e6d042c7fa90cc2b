"""Would catch weights that change in value, lose metadata or are mislabelled, and damaged files that are accepted."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, LlamaFileType
from gguf.quants import dequantize, quantize

from tandem.embedded.errors import WeightsInvalid
from tandem.embedded.progress import LineProgress
from tandem.embedded.requantise import open_gguf
from tandem.embedded.weights import prepare_weights

PROGRESS = LineProgress(StringIO())
TOKENS = ["<s>", "hello", "量子"]
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
RANDOM = np.random.default_rng(7)
MATRIX = RANDOM.normal(size=(6, 64)).astype(np.float32)
ODD = RANDOM.normal(size=(6, 24)).astype(np.float32)
NORM = RANDOM.normal(size=64).astype(np.float32)
ROUTER = RANDOM.normal(size=(4, 64)).astype(np.float32)


def write_model(path: Path, *, parts: int = 1) -> Path:
    """Write a tiny model as a quantiser would leave it: a Q4_1 matrix, an F16 one, and exact F32 tensors."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_1)
    writer.add_block_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(TOKENS)
    writer.add_chat_template(TEMPLATE)
    writer.add_add_bos_token(False)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    writer.add_tensor(
        "blk.0.ffn_up.weight",
        quantize(MATRIX, GGMLQuantizationType.Q4_1),
        raw_dtype=GGMLQuantizationType.Q4_1,
    )
    writer.add_tensor("blk.0.odd.weight", ODD.astype(np.float16))
    writer.add_tensor("blk.0.ffn_norm.weight", NORM)
    writer.add_tensor("blk.0.ffn_gate_inp.weight", ROUTER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return prepare_weights(str(write_model(folder / "tiny.gguf")), folder / "cache", PROGRESS)


def tensors(path: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Return the kind and the values of each tensor of a file."""
    return {
        each.name: (each.tensor_type.name, dequantize(each.data, each.tensor_type))
        for each in GGUFReader(path).tensors
    }


def test_each_precision_is_what_it_is_called(made: Path) -> None:
    assert {name: kind for name, (kind, _) in tensors(made / "F16.gguf").items()} == {
        "blk.0.ffn_up.weight": "F16",
        "blk.0.odd.weight": "F16",
        "blk.0.ffn_norm.weight": "F32",
        "blk.0.ffn_gate_inp.weight": "F32",
    }
    assert {name: kind for name, (kind, _) in tensors(made / "Q8_0.gguf").items()} == {
        "blk.0.ffn_up.weight": "Q8_0",
        "blk.0.odd.weight": "F16",  # rows that do not fill Q8_0's blocks of 32
        "blk.0.ffn_norm.weight": "F32",
        "blk.0.ffn_gate_inp.weight": "F32",
    }


def test_values_are_those_of_the_source_within_the_precision(made: Path) -> None:
    source = dequantize(quantize(MATRIX, GGMLQuantizationType.Q4_1), GGMLQuantizationType.Q4_1)
    np.testing.assert_allclose(
        tensors(made / "F16.gguf")["blk.0.ffn_up.weight"][1], source, rtol=2**-10, atol=1e-6
    )
    # Q8_0 rounds to 1/127 of the largest value of its block, which is below 4 here; the scale itself is half precision.
    np.testing.assert_allclose(tensors(made / "Q8_0.gguf")["blk.0.ffn_up.weight"][1], source, atol=4 / 127)
    for precision in ("F16", "Q8_0"):
        found = tensors(made / f"{precision}.gguf")
        np.testing.assert_array_equal(found["blk.0.ffn_norm.weight"][1], NORM)
        np.testing.assert_array_equal(found["blk.0.ffn_gate_inp.weight"][1], ROUTER)
        np.testing.assert_array_equal(found["blk.0.odd.weight"][1], ODD.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    ("precision", "file_type"), [("F16", LlamaFileType.MOSTLY_F16), ("Q8_0", LlamaFileType.MOSTLY_Q8_0)]
)
def test_metadata_is_copied_and_the_file_type_is_right(made: Path, precision: str, file_type: int) -> None:
    fields = {
        name: field.contents()
        for name, field in GGUFReader(made / f"{precision}.gguf").fields.items()
        if not name.startswith("GGUF.")
    }
    assert fields == {
        "general.architecture": "llama",
        "general.file_type": file_type,
        "general.quantization_version": 2,
        "llama.block_count": 1,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.chat_template": TEMPLATE,
        "tokenizer.ggml.add_bos_token": False,
    }


def test_a_second_time_nothing_is_read_or_written(tmp_path: Path) -> None:
    source, said = str(write_model(tmp_path / "tiny.gguf")), StringIO()
    folder = prepare_weights(source, tmp_path / "cache", PROGRESS)
    assert prepare_weights(source, tmp_path / "cache", LineProgress(said)) == folder
    assert said.getvalue() == ""


def test_models_live_side_by_side_and_a_changed_file_is_another_model(tmp_path: Path) -> None:
    first = write_model(tmp_path / "first.gguf")
    folders = {prepare_weights(str(first), tmp_path / "cache", PROGRESS)}
    folders.add(prepare_weights(str(write_model(tmp_path / "second.gguf")), tmp_path / "cache", PROGRESS))
    first.write_bytes(first.read_bytes() + b"\0" * 32)
    folders.add(prepare_weights(str(first), tmp_path / "cache", PROGRESS))
    assert len(folders) == 3


def test_a_cached_file_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    source = str(write_model(tmp_path / "tiny.gguf"))
    folder = prepare_weights(source, tmp_path / "cache", PROGRESS)
    whole = (folder / "F16.gguf").read_bytes()
    (folder / "F16.gguf").write_bytes(whole[:-1])
    assert (prepare_weights(source, tmp_path / "cache", PROGRESS) / "F16.gguf").read_bytes() == whole


def test_the_manifest_names_the_source(made: Path) -> None:
    manifest = json.loads((made / "weights.json").read_text(encoding="utf-8"))
    assert manifest["source"].endswith("tiny.gguf")
    assert set(manifest["bytes"]) == {"F16.gguf", "Q8_0.gguf"}


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "tiny.gguf").read_bytes()
    damaged = tmp_path / "damaged.gguf"
    last_tensor_byte = len(whole) - 32  # what follows the last tensor is padding
    for size in [0, 3, 4, 20, 30, 100, 200, 400, last_tensor_byte // 2, last_tensor_byte - 1]:
        damaged.write_bytes(whole[:size])
        with pytest.raises(WeightsInvalid, match="not a whole GGUF file"):
            open_gguf(damaged)


def test_another_format_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    other = tmp_path / "model.gguf"
    other.write_bytes(b"PK\x03\x04" + bytes(1000))
    with pytest.raises(WeightsInvalid, match="convert_hf_to_gguf"):
        prepare_weights(str(other), tmp_path / "cache", PROGRESS)
    assert [each.name for each in (tmp_path / "cache" / "weights").iterdir() if each.is_dir()] == []


def test_one_part_of_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"one of 3 parts.*llama-gguf-split --merge"):
        open_gguf(write_model(tmp_path / "tiny.gguf", parts=3))


@pytest.mark.parametrize("text", ["no/such/file.gguf", "hf:ORG/REPO", "hf:file.gguf", "hf:ORG/REPO/file.bin"])
def test_an_unknown_source_is_refused_with_the_known_forms(tmp_path: Path, text: str) -> None:
    with pytest.raises(WeightsInvalid) as refusal:
        prepare_weights(text, tmp_path, PROGRESS)
    assert text in str(refusal.value)
    assert "smollm2" in str(refusal.value)
    assert "hf:ORGANISATION/REPOSITORY/FILE.gguf" in str(refusal.value)
