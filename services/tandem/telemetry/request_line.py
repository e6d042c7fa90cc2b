"""The line that the log has for every request, however it enters."""

from __future__ import annotations

from typing import Any, Final, Literal

from structlog.typing import FilteringBoundLogger

from tandem.call import Call
from tandem.errors import Cancelled, TandemError
from tandem.quotations import without_quotations
from tandem.telemetry.logs import is_written

ASKED_EACH_SECOND: Final = "/tandem.v1.InferenceService/GetCapabilities"
"""What every orchestrator asks of every tier all the time: it has a line only at `debug`, unless it fails."""


def tell_of_request(log: FilteringBoundLogger, method: str, call: Call, error: TandemError | None) -> None:
    """Write the line of a request that has ended; without an error it was answered."""
    level = _level(method, error)
    if not is_written(level):
        return
    fields: dict[str, Any] = {
        "method": method,
        "request_id": call.request_id,
        "tenant": call.tenant,
        "code": error.code.name if error else "OK",
        "duration_ms": call.elapsed_ms(),
    }
    if error is not None:
        fields.update(reason=error.reason, message=without_quotations(error.message))
    write = {"debug": log.debug, "info": log.info, "warning": log.warning}[level]
    write("request", **fields)


def _level(method: str, error: TandemError | None) -> Literal["debug", "info", "warning"]:
    if error is None and method == ASKED_EACH_SECOND:
        return "debug"
    # That a client leaves is its own business, not a warning for whoever runs the service.
    return "info" if error is None or isinstance(error, Cancelled) else "warning"
