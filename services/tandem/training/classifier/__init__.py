"""Training of the artifact of the classifier."""
