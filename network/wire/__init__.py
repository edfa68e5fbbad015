"""Fabric's messages, built and parsed: bytes in, bytes or frozen dataclasses out.

Nothing here opens a socket, reads a clock or draws a random number: nonces, times and signing
functions are arguments.
"""
