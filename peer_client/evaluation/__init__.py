"""How good a model is, by patient: readings of slices, and one function for any data folder."""
