"""The parts of the fusion bench."""
