"""All hospitals of a file in one process: for trying recipes, without a network."""
