"""The ledger: every attempt of every request, durably."""
