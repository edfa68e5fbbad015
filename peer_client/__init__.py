"""What one hospital runs: read CT, train, encrypt, submit, open, audit."""
