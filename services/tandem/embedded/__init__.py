"""The embedded system: a real Triton as a child process, and what it needs on this machine."""
