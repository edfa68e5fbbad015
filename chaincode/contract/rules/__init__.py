"""The rules of studies and rounds: each raises its own error, or returns what it has proved."""
