"""Reads and writes the artifact: one safetensors file with all that the classifier has learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tandem.classifier.encoder import Encoder, EncoderSpec, EncoderUnusable, open_encoder
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.features import Extractor, Terms
from tandem.classifier.header import Header
from tandem.classifier.weights import Weights

LARGEST_BYTES: Final = 20 * 2**20
DIGEST_DIGITS: Final = 12

Tensors = Mapping[str, NDArray[Any]]
Open = Callable[[EncoderSpec], Encoder]

_HEADER: Final = "tandem"
_TYPES: Final[Mapping[str, Any]] = {
    "buckets": np.int8,
    "rows": np.float16,
    "columns": np.float32,
    "dense": np.float32,
    "mean": np.float32,
    "scale": np.float32,
    "bias": np.float32,
    "frequencies": np.float32,
    "phases": np.float32,
    "waves": np.float32,
}
_TERM_TYPES: Final[Mapping[str, Any]] = {"term_keys": np.uint64, "term_weights": np.float32}


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the classifier has learned."""

    header: Header
    weights: Weights
    extractor: Extractor
    terms: Terms | None
    revision: str
    """Its name and the first digits of the SHA-256 of its content."""


def write_artifact(
    file: Path,
    header: Header,
    weights: Weights,
    terms: Terms | None = None,
    encoders: Open = open_encoder,
) -> str:
    """Write an artifact, all of it or nothing, and return its revision.

    The same content gives the same bytes. `header` names the headings of the terms; `weights.limit` is not
    kept, `header.dense_limit` is.

    Raises:
        ArtifactUnusable: the parts do not fit together, or are larger than an artifact may be.
        OSError: the file cannot be written.
    """
    tensors = _tensors(weights, terms)
    _assemble(file, header, tensors, "", encoders)
    document = header.model_dump_json(exclude_none=True)
    content = save(tensors, {_HEADER: json.dumps({"digest": _digest(document, tensors), "header": document})})
    if len(content) > LARGEST_BYTES:
        raise ArtifactUnusable(file, f"it would have {len(content)} bytes, more than {LARGEST_BYTES}")
    draft = file.with_name(f"{file.name}.new")
    draft.write_bytes(content)
    draft.replace(file)
    return load_artifact(file, encoders).revision


def load_artifact(file: Path, encoders: Open = open_encoder) -> Artifact:
    """Read an artifact, and open the encoder if it wants one.

    The file is mapped while it is read, and its content is kept in memory of this process: a map that stays would
    kill the process when somebody overwrites the file in place.

    Raises:
        ArtifactUnusable: the file is missing, damaged, of another version, its parts do not fit together, or the
            encoder that it wants is not installed.
    """
    try:
        size = file.stat().st_size
        if size > LARGEST_BYTES:
            raise ArtifactUnusable(file, f"it has {size} bytes, more than {LARGEST_BYTES}")
        with safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
        envelope = json.loads(metadata[_HEADER])
        digest, document = envelope["digest"], envelope["header"]
        header = Header.model_validate_json(document)
    except OSError as error:
        raise ArtifactUnusable(file, f"it cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        raise ArtifactUnusable(file, f"its header is not valid: {_problems(error)}") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactUnusable(file, f"it is no artifact, or damaged: {error}") from None
    if digest != _digest(document, tensors):
        raise ArtifactUnusable(file, "its content is not what its digest says, so it is damaged")
    return _assemble(file, header, tensors, f"{header.name}-{digest[:DIGEST_DIGITS]}", encoders)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc']))} {problem['msg']}" for problem in error.errors()[:5]
    )


def _digest(document: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(document.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _tensors(weights: Weights, terms: Terms | None) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {name: getattr(weights, name) for name in _TYPES}
    tensors["rows"] = weights.rows.astype(np.float16)
    if terms:
        tensors |= {"term_keys": terms.keys, "term_weights": terms.weights}
    return tensors


def _assemble(file: Path, header: Header, tensors: Tensors, revision: str, encoders: Open) -> Artifact:
    """Put the parts together.

    Raises:
        ArtifactUnusable: they do not fit.
    """
    _check_types(file, header, tensors)
    terms = (
        Terms(tensors["term_keys"], tensors["term_weights"], header.term_names) if header.term_names else None
    )
    try:
        encoder = encoders(header.encoder) if header.encoder else None
    except EncoderUnusable as error:
        raise ArtifactUnusable(file, str(error)) from None
    extractor = Extractor(header.features, terms, encoder)
    _check_values(file, header, len(extractor.dense_names), tensors)
    parts = {name: tensors[name] for name in _TYPES} | {"rows": tensors["rows"].astype(np.float32)}
    weights = Weights(**parts, limit=header.dense_limit)
    return Artifact(header, weights, extractor, terms, revision)


def _check_types(file: Path, header: Header, tensors: Tensors) -> None:
    types: dict[str, Any] = dict(_TYPES)
    if header.term_names:
        types |= _TERM_TYPES
    found = {name: tensor.dtype for name, tensor in tensors.items()}
    if found != types:
        raise ArtifactUnusable(file, f"its tensors should be {_listed(types)}, and are {_listed(found)}")
    flat = [
        name
        for name in ("buckets", "dense", "frequencies", "waves", "term_weights")
        if name in found and tensors[name].ndim != 2
    ]
    if flat:
        raise ArtifactUnusable(file, f"{', '.join(flat)} should have rows and columns")


def _check_values(file: Path, header: Header, dense: int, tensors: Tensors) -> None:
    buckets, columns = header.features.buckets, len(header.columns)
    shapes: dict[str, tuple[int, ...]] = {
        "buckets": (buckets, columns),
        "rows": (buckets,),
        "columns": (columns,),
        "dense": (dense, columns),
        "mean": (dense,),
        "scale": (dense,),
        "bias": (columns,),
        "frequencies": (dense, len(tensors["waves"])),
        "phases": tensors["waves"].shape[:1],
        "waves": (len(tensors["waves"]), columns),
    }
    if "term_weights" in tensors:
        shapes["term_keys"] = tensors["term_weights"].shape[:1]
        shapes["term_weights"] = (len(tensors["term_weights"]), len(header.term_names))
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ArtifactUnusable(
                file, f"{name} should have the shape {shape}, and has {tensors[name].shape}"
            )
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ArtifactUnusable(file, f"{name} has numbers that are not finite")
        if name.endswith("_keys") and not (tensor[1:] > tensor[:-1]).all():
            raise ArtifactUnusable(file, f"{name} do not rise")
    if not (tensors["scale"] > 0).all():
        raise ArtifactUnusable(file, "scale has numbers that are not above 0")


def _listed(types: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.dtype(kind).name}" for name, kind in sorted(types.items()))
