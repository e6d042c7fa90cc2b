"""The fusion service: answers → one answer."""
