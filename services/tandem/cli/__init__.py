"""The `tandem` command."""

from __future__ import annotations

from tandem.cli.app import app


def main() -> None:
    """Run the command line."""
    app()
