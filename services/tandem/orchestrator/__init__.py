"""The orchestrator: one answer per request, from the tier it needs, by its deadline."""
