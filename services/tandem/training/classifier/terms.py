"""The terms under headings that the heads read: the lexicon, and the longer lists beside the templates."""

from __future__ import annotations

from collections.abc import Mapping

from tandem.classifier.lexicon import headings
from tandem.training.classifier.generated import read_templates


def terms() -> Mapping[str, Mapping[str, float]]:
    """Return the terms under every heading, each with its weight; the lexicon's weight where it has the term."""
    found = {heading: dict(terms) for heading, terms in headings().items()}
    for heading, by_language in read_templates("terms.yaml").items():
        known = found.setdefault(heading, {})
        listed = [term.strip() for term in by_language["en"].split(",")] + by_language["zh"].split()
        for term in listed:
            known.setdefault(term, 1.0)
    return found
