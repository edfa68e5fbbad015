"""The Fabric programs: which version, where they are, how they are built."""
