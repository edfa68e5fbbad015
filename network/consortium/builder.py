"""The external builder with which a peer takes a chaincode that runs as a service.

Three programs that the peer calls (docs of Fabric: External builders and launchers). There is no
`run`: the peer dials the address of connection.json itself. They are POSIX sh and copy files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from network.consortium.certificates import write_public

NAME: Final = "ccaas"
_PROGRAMS: Final = {
    # detect SOURCE METADATA
    "detect": '#!/bin/sh\ngrep -q \'"type"[ ]*:[ ]*"ccaas"\' "$2/metadata.json"\n',
    # build SOURCE METADATA OUTPUT
    "build": '#!/bin/sh\nset -e\ncp "$1/connection.json" "$3/"\n',
    # release BUILT RELEASE
    "release": (
        "#!/bin/sh\nset -e\n"
        'mkdir -p "$2/chaincode/server"\n'
        'cp "$1/connection.json" "$2/chaincode/server/"\n'
    ),
}


def write_builder(folder: Path) -> None:
    """Write the three programs to `folder/bin`."""
    for name, text in _PROGRAMS.items():
        path = folder / "bin" / name
        write_public(path, text.encode())
        path.chmod(0o755)
