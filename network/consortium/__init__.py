"""Bring a consortium of Fabric members up: who exists, certificates, nodes, channel, chaincode.

Everything done for a member is a function of that member's own directory and of the public files
of the others (`network.consortium.member`), because hospitals run it on separate hosts.
"""
