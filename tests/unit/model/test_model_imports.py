"""What needs no TensorFlow loads none: the command line and an audit must start fast."""

from __future__ import annotations

import subprocess
import sys

import pytest

PLAIN = (
    "model",
    "model.augmentation",
    "model.calibration",
    "model.config",
    "model.decision",
    "model.errors",
    "model.evaluation",
    "model.overlap",
    "model.sampling",
    "model.schedule",
    "model.weights",
)


@pytest.mark.parametrize("absent", ["tensorflow", "keras"])
def test_importing_the_plain_modules_loads_neither(absent):
    code = f"import sys, {', '.join(PLAIN)}; sys.exit({absent!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_alone_loads_nothing():
    code = "import sys, model; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
