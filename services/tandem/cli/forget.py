"""`tandem forget`: an answer that is not to be given again."""

from __future__ import annotations

import json

from tandem.cli.ask import show_error
from tandem.cli.peer import Peer
from tandem.errors import TandemError


async def run_forget(request_id: str, peer: Peer, tenant: str | None, *, as_json: bool) -> int:
    """Remove what a request left in the cache; return the exit status."""
    try:
        async with peer.client(tenant) as client:
            forgotten = await client.forget(request_id)
    except TandemError as error:
        show_error(error, peer.target, as_json)
        return 1
    if as_json:
        print(json.dumps({"request_id": request_id, "forgotten": forgotten}))
    elif forgotten:
        print(f"forgotten: the answer of {request_id} will not be given again")
    else:
        print(
            f"nothing there: the cache holds no answer of {request_id} for {tenant or 'the anonymous tenant'}; "
            "it may have expired, or another tenant asked"
        )
    return 0 if forgotten else 1
