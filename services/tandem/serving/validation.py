"""The rules that the contracts state, enforced on every request."""

from __future__ import annotations

from typing import Final

import protovalidate
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from tandem.errors import Details, InvalidRequest, Violation

MAX_LISTED: Final = 50
"""Most violations that one error names; a hostile request can have thousands."""

_validator = protovalidate.Validator()


def validate(request: Message) -> None:
    """Check a request against the rules in its contract.

    Raises:
        InvalidRequest: with the violations named.
    """
    found = _validator.collect_violations(request)
    if not found:
        return
    violations = [Violation(_path(violation), violation.proto.message) for violation in found[:MAX_LISTED]]
    listed = "; ".join(f"{v.field or request.DESCRIPTOR.name}: {v.description}" for v in violations)
    more = f"; and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
    raise InvalidRequest(f"the request breaks the contract: {listed}{more}", Details(violations))


def prepare(service: str) -> None:
    """Compile the rules of all requests of a service, which takes milliseconds, before the first one comes."""
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # the published stubs forgot it
    for method in pool.FindServiceByName(service).methods:
        _validator.collect_violations(message_factory.GetMessageClass(method.input_type)())


def _path(violation: protovalidate.Violation) -> str:
    """Return the path of the field, such as `messages[0].parts[1].text`; empty for a rule of the whole message."""
    path = violation.proto.field
    if path is None:
        return ""
    names = []
    for element in path.elements:
        subscript = f"[{element.subscript.value}]" if element.subscript is not None else ""
        names.append(f"{element.field_name}{subscript}")
    return ".".join(names)
