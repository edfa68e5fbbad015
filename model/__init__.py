"""The capsule network: the only package that imports TensorFlow.

Numpy in, numpy out. Importing `model` alone loads nothing; `model.config`, `model.weights`,
`model.sampling`, `model.augmentation`, `model.evaluation` and `model.calibration` need numpy only,
so that an audit or a command line starts fast. `model.capsnet`, `model.training` and
`model.prediction` load Keras. The package knows no hospital, no ledger and no file of CT.
"""
