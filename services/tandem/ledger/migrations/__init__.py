"""The migrations of the ledger's tables, run by `tandem.ledger.schema`."""
