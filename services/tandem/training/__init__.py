"""Training of what is shipped: programs that need more than the services do."""
