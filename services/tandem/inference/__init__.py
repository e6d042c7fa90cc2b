"""The inference service: prompt and variant → tokens, through Triton. Deployed once per tier."""
