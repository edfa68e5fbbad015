"""One round as a hospital lives it: what to do next, training, submitting, answering, the model."""
