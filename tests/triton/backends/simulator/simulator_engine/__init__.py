"""The simulator's parts that know nothing of Triton: what to say, when to say it, and how to fail."""
