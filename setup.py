"""The part of the build that setup.cfg cannot say: files that live elsewhere in the repository.

The topology, the examples and the pages of exit codes have one place each in the repository,
outside the packages. A wheel carries copies of them in network/shipped (`network.runtime.shipped`
finds them there); an editable install reads the originals.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ("crypto-config.yaml", "examples/*.yaml", "docs/errors/*.md")


class BuildWithShippedFiles(build_py):
    """Copies the shipped files beside the modules, in a wheel alone."""

    def run(self) -> None:
        """Build the modules, then copy."""
        super().run()
        if self.editable_mode:
            return
        for pattern in SHIPPED:
            for source in sorted(ROOT.glob(pattern)):
                target = Path(self.build_lib, "network", "shipped", source.relative_to(ROOT))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithShippedFiles})
