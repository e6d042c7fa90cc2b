"""What the backend says when it can't do what it was asked."""

from __future__ import annotations


class EngineError(Exception):
    """A request failed; the message goes to the client as an in-band error."""


class RequestError(EngineError):
    """The request itself is at fault; the same request fails again."""


class SettingsError(Exception):
    """A model can't be loaded; the message says what to set right."""
