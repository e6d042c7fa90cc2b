"""Generated from protos/buf."""
