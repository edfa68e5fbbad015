"""What both sides read: the records on the ledger, their bytes, keys, states and errors."""
