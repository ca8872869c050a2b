"""How fast captured calls get into the ledger."""
