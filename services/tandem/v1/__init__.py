"""The messages and services of Tandem's contract, generated from protos/tandem/v1."""
