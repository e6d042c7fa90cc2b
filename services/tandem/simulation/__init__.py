"""The orchestrator's own code on a clock that does not wait."""
