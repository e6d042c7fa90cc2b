"""A small language model on torch whose weights and cache take the memory of a real card."""
