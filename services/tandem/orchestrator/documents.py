"""Catalogue and policy: what the orchestrator answers by, read together since the one names what is in the other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from tandem.catalogue import Catalogue, load_catalogue
from tandem.followed_documents import FollowedDocuments
from tandem.orchestrator.policy import Policy, load_policy
from tandem.yaml_document import DocumentError, Problem


@dataclass(frozen=True, slots=True)
class Documents:
    """A catalogue and a policy for it."""

    catalogue: Catalogue
    policy: Policy

    @property
    def revision(self) -> str:
        """That of the policy and that of the catalogue."""
        return f"{self.policy.revision}/{self.catalogue.revision}"


def followed_documents(
    catalogue: Path, policy: Path, tiers: Collection[str], log: FilteringBoundLogger
) -> FollowedDocuments[Documents]:
    """Return both documents, ready to be followed; one with a tier that none of `tiers` is is refused.

    Raises:
        DocumentError: they are not valid.
        OSError: one cannot be read.
    """
    return FollowedDocuments([catalogue, policy], lambda: read_documents(catalogue, policy, tiers), log)


def read_documents(catalogue: Path, policy: Path, tiers: Collection[str]) -> Documents:
    """Read both documents. Raises as `followed_documents`."""
    models = load_catalogue(catalogue)
    strangers = [name for name in models.tiers if name not in tiers]
    if strangers:
        message = f"{', '.join(strangers)} has no inference service here; give its address in the settings and restart"
        raise DocumentError(catalogue, [Problem(1, 1, "tiers", message)])
    return Documents(models, load_policy(policy, models))
