"""The CT intake: from the files of a hospital to what the network is given.

Nothing here trains, encrypts or talks to the ledger, and nothing here imports TensorFlow.
"""
