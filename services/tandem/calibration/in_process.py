"""The classifier of this installation, without a service."""

from __future__ import annotations

from tandem.classifier.classify import ClassifierCore
from tandem.protocols import Classifier


def shipped_classifier() -> Classifier:
    """Return it."""
    return ClassifierCore()
