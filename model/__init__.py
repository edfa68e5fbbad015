"""The capsule network: the only package that imports TensorFlow.

Numpy in, numpy out. Importing `model` alone loads nothing; `model.config`, `model.weights`,
`model.sampling`, `model.augmentation`, `model.evaluation` and `model.calibration` need numpy only,
so that an audit or a command line starts fast. `model.capsnet`, `model.training` and
`model.prediction` load Keras. The package knows no hospital, no ledger and no file of CT.
"""

import os

# TensorFlow reads both when it is first imported. oneDNN's convolutions are a quarter faster in
# training on processors for which TensorFlow does not choose them by itself.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
