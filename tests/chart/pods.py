"""Runs the pods of a rendered chart as processes of this machine, as a kubelet would: root only.

Each container has a root folder that it cannot write, the volumes that the chart mounts, the chart's user, no
capabilities, and is process 1 of its own. What differs from a cluster: all pods share the loopback interface, so that
`0.0.0.0` becomes an address of the pod's own, and the Service with an address of its own is one of its pods.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc.aio
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.chart.dns import NETWORK, resolver_configuration, serving_names
from tests.chart.images import Image, image
from tests.chart.rendering import NAMESPACE, Object, named, of_kind, pod_specs

TARGETS: Final = {"tandem": "tandem", "tandem-triton-cpu": "triton-cpu"}
"""Target of the Dockerfile for each repository of the chart."""
ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - what is replaced
READY_SECONDS: Final = 150.0
FILES: Final = ("hosts", "resolv.conf")
"""What a kubelet puts into /etc."""


@dataclass(slots=True)
class Cluster:
    """The pods of one release."""

    objects: Sequence[Object]
    folder: Path
    claims: Mapping[str, Path] = field(default_factory=dict)
    """The folder behind each PersistentVolumeClaim."""
    pods: dict[str, Pod] = field(default_factory=dict)
    _names: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        for number, (name, metadata, spec) in enumerate(pod_specs(self.objects), start=1):
            self.pods[name] = Pod(self, name, metadata, spec, f"{NETWORK}.0.{number}")
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n")
        (self.folder / "resolv.conf").write_text(resolver_configuration(NAMESPACE))

    def addresses(self, service: str) -> list[str] | None:
        """Return where a Service is reached: at its ready pods, or, with an address of its own, at one of them."""
        found = [each for each in of_kind(self.objects, "Service") if each["metadata"]["name"] == service]
        if not found:
            return None
        spec = found[0]["spec"]
        chosen = [
            pod for pod in self.pods.values() if spec["selector"].items() <= pod.metadata["labels"].items()
        ]
        if spec.get("clusterIP") == "None":
            return [pod.address for pod in chosen if pod.ready]
        return [pod.address for pod in chosen][:1]

    async def start(self) -> None:
        """Start every pod that is not a test, and wait until all are ready."""
        await self._names.enter_async_context(serving_names(NAMESPACE, self.addresses))
        running = [pod for pod in self.pods.values() if not pod.is_test]
        await asyncio.gather(*(pod.start() for pod in running))
        await asyncio.gather(*(pod.until_ready(READY_SECONDS) for pod in running))

    async def replace(self, name: str) -> Pod:
        """Start another pod in place of one that has ended, at another address."""
        gone = self.pods.pop(name)
        self.pods[name] = gone.another()
        await self.pods[name].start()
        return self.pods[name]

    async def add(self, name: str) -> Pod:
        """Start one more pod like this one, as when its Deployment is scaled up."""
        added = self.pods[name].another()
        self.pods[added.name] = added
        await added.start()
        return added

    async def remove(self, pod: Pod, seconds: float) -> int:
        """End a pod as when its Deployment is scaled down, and return its exit status."""
        del self.pods[pod.name]
        return await pod.stop(seconds)

    async def stop(self, seconds: float) -> dict[str, int]:
        """Ask every pod to end and return the exit statuses; what does not end in time is killed and has -9."""
        running = [pod for pod in self.pods.values() if pod.process]
        statuses = await asyncio.gather(*(pod.stop(seconds) for pod in running))
        await self._names.aclose()
        return dict(zip([pod.name for pod in running], statuses, strict=True))


@dataclass(slots=True)
class Pod:
    """One pod, with an address of its own on the loopback interface."""

    cluster: Cluster
    name: str
    metadata: Object
    spec: Object
    address: str
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    _watching: asyncio.Task[None] | None = None

    def another(self) -> Pod:
        """Return a pod like this one, at another address, that has not been started."""
        address = self.address.replace(f"{NETWORK}.0.", f"{NETWORK}.1.")
        return Pod(self.cluster, f"{self.name}-again", self.metadata, self.spec, address)

    @property
    def is_test(self) -> bool:
        """Whether `helm test` starts it."""
        return bool(self.metadata.get("annotations", {}).get("helm.sh/hook") == "test")

    @property
    def folder(self) -> Path:
        """Its volumes and logs."""
        return self.cluster.folder / self.name

    async def start(self) -> None:
        """Run the containers that come first, then start the one that stays."""
        for container in self.spec.get("initContainers", []):
            status = await (await self._begin(container)).wait()
            assert status == 0, f"{self.name}/{container['name']} ended with {status}:\n{self.log(container)}"
        (container,) = self.spec["containers"]
        self.process = await self._begin(container)
        if "readinessProbe" in container:
            self._watching = asyncio.create_task(self._watch(container))

    async def _watch(self, container: Object) -> None:
        """Look at the probes as often as the chart says, as a kubelet does."""
        while not await self.probe(container["startupProbe"]):
            await asyncio.sleep(container["startupProbe"]["periodSeconds"])
        while True:
            self.ready = await self.probe(container["readinessProbe"])
            await asyncio.sleep(container["readinessProbe"]["periodSeconds"])

    async def run(self) -> str:
        """Run it to its end, which must be a good one, and return what its container said."""
        await self.start()
        (container,) = self.spec["containers"]
        assert self.process is not None
        assert await self.process.wait() == 0, self.log(container)
        return self.log(container)

    async def until_ready(self, seconds: float) -> None:
        """Wait until it is ready, and let nobody else know before it is."""
        (container,) = self.spec["containers"]
        end = time.monotonic() + seconds
        while not self.ready:
            assert self.process is not None
            assert self.process.returncode is None, f"{self.name} ended:\n{self.log(container)}"
            assert time.monotonic() < end, f"{self.name} is not ready:\n{self.log(container)}"
            await asyncio.sleep(0.1)

    async def until(self, probes: Sequence[str], seconds: float) -> None:
        """Wait until probes succeed."""
        (container,) = self.spec["containers"]
        end = time.monotonic() + seconds
        for probe in probes:
            while not await self.probe(container[probe]):
                assert self.process is not None
                assert self.process.returncode is None, f"{self.name} ended:\n{self.log(container)}"
                assert time.monotonic() < end, f"{self.name}: no {probe}:\n{self.log(container)}"
                await asyncio.sleep(0.1)

    async def probe(self, probe: Mapping[str, Any]) -> bool:
        """Return whether one probe succeeds now."""
        if "grpc" in probe:
            return await _healthy(f"{self.address}:{probe['grpc']['port']}", probe["grpc"].get("service", ""))
        (container,) = self.spec["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        return await _found(self.address, ports[probe["httpGet"]["port"]], probe["httpGet"]["path"])

    async def stop(self, seconds: float) -> int:
        """Send SIGTERM to the container and return its exit status."""
        assert self.process is not None
        if self._watching:
            self._watching.cancel()
        self.ready = False
        for child in psutil.Process(self.process.pid).children() if self.process.returncode is None else []:
            child.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return -signal.SIGKILL

    def log(self, container: Object) -> str:
        """Return what a container said."""
        return (self.folder / f"{container['name']}.log").read_text(errors="replace")

    async def _begin(self, container: Object) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        root = image(TARGETS[container["image"].rpartition(":")[0]], self.cluster.folder)
        script = self.folder / f"{container['name']}.sh"
        script.write_text(self._script(container, root))
        with (self.folder / f"{container['name']}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", str(script)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _script(self, container: Object, root: Image) -> str:
        """Return what makes the container's view of the world and becomes its process."""
        security = self.spec["securityContext"]
        user, group = f"--userspec={security['runAsUser']}:{security['runAsGroup']}", security["fsGroup"]
        new = self.folder / f"root-{container['name']}"
        new.mkdir()
        given = {entry["name"]: str(entry["value"]) for entry in container.get("env", [])}
        words = [*container["command"], *container.get("args", [])]
        files = shlex.quote(str(self.cluster.folder))
        mounts = [self._mount(mount) for mount in container["volumeMounts"]]
        variables = [f"{key}={value}" for key, value in {**root.variables, **given}.items()]
        command = [word.replace(ANYWHERE, self.address) for word in [*variables, *words]]
        return "\n".join(
            [
                "set -eu",
                "mount --make-rprivate /",
                f"new={shlex.quote(str(new))}",
                root.make_root,
                'mkdir -p "$new"/etc',
                *(
                    f'touch "$new"/etc/{name}; mount --bind {files}/{name} "$new"/etc/{name}'
                    for name in FILES
                ),
                *mounts,
                root.on_top,
                'mount -o remount,bind,ro "$new"',
                f'exec setpriv --no-new-privs chroot {user} --groups={group} "$new" env -i {shlex.join(command)}',
            ]
        )

    def _mount(self, mount: Mapping[str, Any]) -> str:
        (volume,) = (each for each in self.spec["volumes"] if each["name"] == mount["name"])
        path = f'"$new"{shlex.quote(mount["mountPath"])}'
        if volume.get("emptyDir", {}).get("medium") == "Memory":
            group = self.spec["securityContext"]["fsGroup"]
            return f"mkdir -p {path}; mount -t tmpfs -o mode=2770,gid={group} memory {path}"
        source = self._volume(volume)
        read_only = f"; mount -o remount,bind,ro {path}" if mount.get("readOnly") else ""
        return f"mkdir -p {path}; mount --bind {shlex.quote(str(source))} {path}{read_only}"

    def _volume(self, volume: Mapping[str, Any]) -> Path:
        """Return the folder of a volume, made as a kubelet makes it."""
        if "persistentVolumeClaim" in volume:
            return self.cluster.claims[volume["persistentVolumeClaim"]["claimName"]]
        folder = self.folder / f"volume-{volume['name']}"
        if folder.exists():
            return folder
        folder.mkdir()
        if "configMap" in volume:
            config = volume["configMap"]
            data = named(self.cluster.objects, "ConfigMap", config["name"])["data"]
            items = {
                item["path"]: item["key"]
                for item in config.get("items", [{"path": key, "key": key} for key in data])
            }
            _project(folder, {path: data[key] for path, key in items.items()})
        else:
            os.chown(folder, 0, self.spec["securityContext"]["fsGroup"])
            folder.chmod(0o2770)
        return folder


def _project(folder: Path, files: Mapping[str, str]) -> None:
    """Write files as a kubelet does: in a folder with a date for a name, reached through links."""
    dated = folder / "..2026_11_25_08_00_00.1"
    for path, text in files.items():
        (dated / path).parent.mkdir(parents=True, exist_ok=True)
        (dated / path).write_text(text)
    (folder / "..data").symlink_to(dated.name)
    for name in {Path(path).parts[0] for path in files}:
        (folder / name).symlink_to(Path("..data") / name)


async def _healthy(target: str, service: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _found(host: str, port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return b" 200 " in answer.partition(b"\r\n")[0]
