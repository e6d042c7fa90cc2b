"""The gRPC edge that all services share: server lifecycle, request context, errors, validation, clients."""
