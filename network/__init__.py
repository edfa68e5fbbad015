"""Bring up a Hyperledger Fabric consortium and speak to it."""
