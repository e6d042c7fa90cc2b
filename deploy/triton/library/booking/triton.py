"""The books of a model inside Triton: its file, its metrics, and receipts as responses of the vLLM signature."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import triton_python_backend_utils as pb_utils

from .books import Books
from .clerk import Clerk
from .question import asked_for
from .store import Counts, Store, StoreInUse

FOLDER_VARIABLE: Final = "TANDEM_BOOKS"
"""Folder of the books. Not set: they live in memory and begin anew with every process."""

_FINAL: Final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class ModelBooks(Books):
    """The books of the model that this process serves; Triton shows their totals as `tandem_engine_…_total`.

    Raises:
        TritonModelException: another process writes the books of this model.
    """

    def __init__(self, model: str) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        try:
            super().__init__(Store(Path(folder) / f"{model}.books" if folder else None))
        except StoreInUse as error:
            raise pb_utils.TritonModelException(str(error)) from error
        # A metric lives as long as its family.
        self._families = {name: _family(name) for name in Counts._fields}
        labels = {"model": model}
        self._clerk = Clerk(
            self, {name: family.Metric(labels=labels) for name, family in self._families.items()}
        )

    def takes(self, request: Any) -> bool:
        """Answer a request that asks for a receipt; False if it is another kind of request."""
        parameters = pb_utils.get_input_tensor_by_name(request, "sampling_parameters")
        asked = asked_for(parameters.as_numpy().item()) if parameters is not None else None
        if asked is None:
            return False
        self._clerk.ask(asked, _Desk(request.get_response_sender()))
        return True

    def close(self) -> None:
        """Publish what is left; only when no request is under way."""
        self._clerk.close()
        self.store.close()


class _Desk:
    """Answers with a receipt's tensors, or an in-band error."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender

    def hand_out(self, counts: Counts) -> None:
        """Answer with the receipt."""
        tensors = [
            pb_utils.Tensor("text_output", np.array([b""], dtype=np.object_)),
            pb_utils.Tensor("finish_reason", np.array([b"stop"], dtype=np.object_)),
            pb_utils.Tensor("num_input_tokens", np.array([counts.input_tokens], dtype=np.uint32)),
            pb_utils.Tensor("num_output_tokens", np.array([counts.output_tokens], dtype=np.uint32)),
        ]
        self._sender.send(pb_utils.InferenceResponse(tensors), flags=_FINAL)

    def refuse(self, message: str) -> None:
        """Answer that there is none."""
        self._sender.send(pb_utils.InferenceResponse([], pb_utils.TritonError(message)), flags=_FINAL)


def _family(name: str) -> Any:
    return pb_utils.MetricFamily(
        name=f"tandem_engine_{name}_total",
        description=f"{name.replace('_', ' ').capitalize()} counted by the engine itself",
        kind=pb_utils.MetricFamily.COUNTER,
    )
