"""What a hospital's client keeps on its own disk between two moments."""
