"""Downloads one file from Hugging Face. Imported only when that is wanted: its client is an extra."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.utils.tqdm import disable_progress_bars

from tandem.embedded.errors import DownloadFailed, EmbeddedError
from tandem.embedded.growth import growth_shown
from tandem.embedded.once import check_space
from tandem.embedded.progress import Progress


def fetch_from_hub(repository: str, file_name: str, folder: Path, progress: Progress) -> Path:
    """Download a file of a repository's main branch into `folder`.

    Raises:
        DownloadFailed: the file is not there, needs a login, or the network fails.
        CacheUnusable: the disk has no room for it.
    """
    endpoint = os.environ.get("HF_ENDPOINT")
    disable_progress_bars()
    try:
        metadata = get_hf_file_metadata(
            hf_hub_url(repository, file_name, endpoint=endpoint), endpoint=endpoint
        )
        if metadata.size:
            check_space(folder, metadata.size, file_name)
        with progress.step(f"Fetching {file_name}", metadata.size) as report, growth_shown(folder, report):
            return Path(hf_hub_download(repository, file_name, local_dir=folder, endpoint=endpoint))
    except EmbeddedError:
        raise
    except (
        Exception
    ) as error:  # which HTTP library the hub's client is built on changes from version to version
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadFailed(
            f"{file_name} could not be fetched from {repository} at {endpoint or 'Hugging Face'}: {error} Check the "
            "name and the network; a repository with a licence to accept needs a token in HF_TOKEN; a mirror is named "
            "in HF_ENDPOINT. A file fetched otherwise can be named by its path."
        ) from error
