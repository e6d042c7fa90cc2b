"""Training of fusion: recorded answers → the reliability artifact."""
