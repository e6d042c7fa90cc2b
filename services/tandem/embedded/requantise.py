"""Writes a GGUF file again at another precision: the same model, the same metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.constants import GGML_QUANT_VERSION, Keys
from gguf.gguf_reader import ReaderField, ReaderTensor
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

from tandem.embedded.errors import WeightsInvalid
from tandem.embedded.progress import Report

PRECISIONS: Final = {
    GGMLQuantizationType.F16: LlamaFileType.MOSTLY_F16,
    GGMLQuantizationType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
}
"""What can be written, and what its metadata calls it."""
BYTES_PER_WEIGHT: Final = {GGMLQuantizationType.F16: 2.0, GGMLQuantizationType.Q8_0: 34 / 32}
Q8_0_BLOCK: Final = 32
NOT_COPIED: Final = frozenset(
    {
        Keys.General.ARCHITECTURE,
        Keys.General.FILE_TYPE,
        Keys.General.QUANTIZATION_VERSION,
        Keys.General.ALIGNMENT,
    }
)
"""Keys that the writer sets itself."""
PLAIN: Final = {
    GGMLQuantizationType.F32: np.float32,
    GGMLQuantizationType.F16: np.float16,
}


def open_gguf(path: Path) -> GGUFReader:
    """Open a GGUF file and check that it is whole.

    Raises:
        WeightsInvalid: it is no GGUF, damaged, cut off, or one part of several.
    """
    try:
        reader = GGUFReader(path)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise WeightsInvalid(
            f"{path} is not a whole GGUF file ({error}). Fetch it again, or name another file; other formats are "
            "converted with llama.cpp's convert_hf_to_gguf.py."
        ) from error
    parts = reader.get_field(Keys.Split.LLM_KV_SPLIT_COUNT)
    if parts is not None and parts.contents() > 1:
        raise WeightsInvalid(
            f"{path} is one of {parts.contents()} parts. Join them with llama.cpp's `llama-gguf-split --merge` first."
        )
    return reader


def output_bytes(reader: GGUFReader, precision: GGMLQuantizationType) -> int:
    """Return about how large the model will be at a precision."""
    weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    return int(weights * BYTES_PER_WEIGHT[precision]) + reader.data_offset


def requantise(reader: GGUFReader, target: Path, precision: GGMLQuantizationType, report: Report) -> None:
    """Write the reader's model to `target` with its matrices at `precision`; report the bytes written.

    Raises:
        WeightsInvalid: it has tensors of a kind that cannot be converted.
    """
    writer = GGUFWriter(target, reader.fields[Keys.General.ARCHITECTURE].contents())
    _copy_metadata(reader, writer, PRECISIONS[precision])
    kinds = [_kind(reader, tensor, precision) for tensor in reader.tensors]
    for tensor, kind in zip(reader.tensors, kinds, strict=True):
        _announce(writer, tensor, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    written = 0
    for tensor, kind in zip(reader.tensors, kinds, strict=True):
        data = _converted(tensor, kind)
        writer.write_tensor_data(data)
        written += data.nbytes
        report(written)
    writer.close()


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, file_type: LlamaFileType) -> None:
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in NOT_COPIED:
            _copy_field(writer, key, field)
    writer.add_file_type(file_type)
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _copy_field(writer: GGUFWriter, key: str, field: ReaderField) -> None:
    is_array = field.types[0] == GGUFValueType.ARRAY
    if is_array and len(field.types) == 1:
        return  # empty: the format has no place for the type of nothing
    writer.add_key_value(
        key, field.contents(), field.types[0], sub_type=field.types[-1] if is_array else None
    )


def _kind(reader: GGUFReader, tensor: ReaderTensor, precision: GGMLQuantizationType) -> GGMLQuantizationType:
    """Return the kind to write: the precision asked for, except for what has to stay exact or does not fit."""
    file_type = reader.get_field(Keys.General.FILE_TYPE)
    all_exact = file_type is None or file_type.contents() == LlamaFileType.ALL_F32
    if tensor.tensor_type == GGMLQuantizationType.F32 and (len(tensor.shape) == 1 or not all_exact):
        return GGMLQuantizationType.F32  # norms and biases, and what whoever quantised the file kept exact
    if precision == GGMLQuantizationType.Q8_0 and tensor.shape[0] % Q8_0_BLOCK:
        return GGMLQuantizationType.F16
    return precision


def _announce(writer: GGUFWriter, tensor: ReaderTensor, kind: GGMLQuantizationType) -> None:
    shape = [int(size) for size in reversed(tensor.shape)]
    if kind in PLAIN:
        dtype = np.dtype(PLAIN[kind])
        writer.add_tensor_info(tensor.name, shape, dtype, int(tensor.n_elements) * dtype.itemsize)
        return
    byte_shape = quant_shape_to_byte_shape(shape, kind)
    writer.add_tensor_info(
        tensor.name, byte_shape, np.dtype(np.uint8), int(np.prod(byte_shape)), raw_dtype=kind
    )


def _converted(tensor: ReaderTensor, kind: GGMLQuantizationType) -> np.ndarray[Any, Any]:
    if tensor.tensor_type == kind:
        return tensor.data
    try:
        return quantize(dequantize(tensor.data, tensor.tensor_type), kind)
    except NotImplementedError as error:
        raise WeightsInvalid(
            f"Tensor {tensor.name} is {tensor.tensor_type.name}, which cannot be converted. "
            "Use a GGUF file of the same model in F16, Q8_0 or a K-quant."
        ) from error
