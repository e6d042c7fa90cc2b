"""The classifier service: request → signals."""
