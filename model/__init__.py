"""The capsule network: the only package that imports TensorFlow."""
