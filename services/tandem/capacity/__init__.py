"""Does a model fit on a machine: models' shapes, types of nodes, and the arithmetic (docs/operations/fit.md)."""
