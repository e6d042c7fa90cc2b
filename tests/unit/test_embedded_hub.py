"""Would catch a download from Hugging Face that ignores HF_ENDPOINT, keeps the wrong bytes, or fails without advice.

A small HTTP server speaks what the hub's own client needs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest

from tandem.embedded.errors import DownloadFailed
from tandem.embedded.fetching import fetch_gguf
from tandem.embedded.progress import LineProgress
from tandem.embedded.source import parse_source

CONTENT = bytes(range(256)) * 2000
PATH = "/tandem/tiny/resolve/main/sub/tiny.gguf"


class Hub(BaseHTTPRequestHandler):
    """One repository with one file."""

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if self._head():
            self.wfile.write(CONTENT)

    def _head(self) -> bool:
        found = self.path == PATH
        self.send_response(200 if found else 404)
        if found:
            self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.end_headers()
        return found

    def log_message(self, *arguments: object) -> None:
        """Keep standard error quiet."""


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetches_a_file_and_says_how_large_it_is(tmp_path: Path) -> None:
    said = StringIO()
    found = fetch_gguf(parse_source("hf:tandem/tiny/sub/tiny.gguf"), tmp_path, tmp_path, LineProgress(said))
    assert found.read_bytes() == CONTENT
    assert "Fetching sub/tiny.gguf (1 MB)" in said.getvalue()


def test_a_file_that_is_not_there_is_explained(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(DownloadFailed) as failure:
        fetch_gguf(parse_source("hf:tandem/tiny/other.gguf"), tmp_path, tmp_path, LineProgress(StringIO()))
    assert endpoint in str(failure.value)
    assert "HF_TOKEN" in str(failure.value)


def test_a_hub_that_does_not_answer_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match="a mirror is named in HF_ENDPOINT"):
        fetch_gguf(parse_source("hf:tandem/tiny/tiny.gguf"), tmp_path, tmp_path, LineProgress(StringIO()))
