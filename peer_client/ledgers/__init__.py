"""The ledger as a hospital's client uses it: on Fabric through the own peer, or in memory."""
