"""The fault matrix: what breaks, how it is broken, and how it is checked that nobody is the worse for it."""
