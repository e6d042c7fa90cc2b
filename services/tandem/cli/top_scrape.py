"""What several replicas of a service say on `/metrics`, added up: now, and as rates between two scrapes."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

STARTED: Final = "process_start_time_seconds"
AT_ONCE: Final = 16
"""Most replicas that are read at a time."""

Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, float]]
"""Values by name and labels."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a replica said at a moment."""

    at: float
    """Seconds of the clock of the day."""
    samples: Samples

    def of(self, name: str) -> Mapping[Labels, float]:
        """Return the values of a name; nothing if the replica has none."""
        return self.samples.get(name, {})

    @property
    def started(self) -> float:
        """When the replica's process started, on the clock of the day; the moment itself if it does not say."""
        return next(iter(self.of(STARTED).values()), self.at)


@dataclass(slots=True)
class Replica:
    """A replica, and what it said last."""

    url: str
    now: Scrape | None = None
    """None: it does not answer."""
    before: Scrape | None = None
    """What it said the time before; None: nothing yet, or it was another process."""
    error: str = ""
    """Why it does not answer."""

    def heard(self, scrape: Scrape) -> None:
        """Take note of what it says now."""
        self.before = self.now or self.before
        if self.before and self.before.started != scrape.started:
            self.before = None
        self.now, self.error = scrape, ""

    def missed(self, error: str) -> None:
        """Take note that it does not answer."""
        self.before = self.now or self.before
        self.now, self.error = None, error


class Replicas:
    """All replicas that are watched."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.all = [Replica(address_of(url)) for url in dict.fromkeys(urls)]

    def scrape(self, seconds: float) -> None:
        """Read every replica; who does not answer within the time is away."""
        with ThreadPoolExecutor(min(AT_ONCE, len(self.all))) as threads:
            list(threads.map(lambda replica: _read(replica, seconds), self.all))

    @property
    def up(self) -> list[Replica]:
        """Those that answer."""
        return [replica for replica in self.all if replica.now]

    def totals(self, name: str) -> defaultdict[Labels, float]:
        """Return the sums of a counter since the replicas' starts, or of a gauge, by labels."""
        found: defaultdict[Labels, float] = defaultdict(float)
        for each in self._heard():
            for labels, value in each.of(name).items():
                found[labels] += value
        return found

    def rates(self, name: str) -> defaultdict[Labels, float]:
        """Return by how much a counter grows in a second: since the scrape before, or since the start at the first."""
        found: defaultdict[Labels, float] = defaultdict(float)
        for replica in self.up:
            now, before = replica.now, replica.before
            if now is None:
                continue
            seconds = now.at - (before.at if before else now.started)
            earlier = before.of(name) if before else {}
            for labels, value in now.of(name).items():
                found[labels] += (value - earlier.get(labels, 0.0)) / seconds if seconds > 0 else 0.0
        return found

    def each(self, name: str) -> list[float]:
        """Return what every replica says of a value without labels."""
        return [value for now in self._heard() for value in now.of(name).values()]

    def _heard(self) -> list[Scrape]:
        return [replica.now for replica in self.all if replica.now]


def address_of(url: str) -> str:
    """Return a metrics address in full: `HOST:9090` means `http://HOST:9090/metrics`.

    Raises:
        ValueError: it is none.
    """
    full = url if "://" in url else f"http://{url}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"{url} is no metrics address; write HOST:PORT or http://HOST:PORT/metrics")
    return full if parts.path.strip("/") else f"{full.rstrip('/')}/metrics"


def parse(text: str, at: float) -> Scrape:
    """Return what a text in Prometheus's format says.

    Raises:
        ValueError: it is in no such format.
    """
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = float(sample.value)
    return Scrape(at, samples)


def _read(replica: Replica, seconds: float) -> None:
    asked = urllib.request.Request(replica.url, headers={"Accept": "text/plain; version=0.0.4"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as response:  # noqa: S310 - http or https, see address_of
            text = str(response.read(), "utf-8", "replace")
        replica.heard(parse(text, time.time()))
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        replica.missed(str(cause) or type(cause).__name__)


def summed(counts: Mapping[Labels, float], *names: str) -> defaultdict[tuple[str, ...], float]:
    """Return sums by the labels that are named; a label that is not there is empty."""
    found: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for labels, value in counts.items():
        known = dict(labels)
        found[tuple(known.get(name, "") for name in names)] += value
    return found


def quantile(part: float, buckets: Mapping[float, float]) -> float | None:
    """Return the value that a part of the observations keep below, from cumulative buckets by upper bound.

    As Prometheus does it: evenly distributed within a bucket; above the last bound, that bound. None: no observation.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank, lower, below = part * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and buckets[bound] > below:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
        lower, below = bound, buckets[bound]
    return lower
