"""How large and how deep a YAML file of people may be: checked on its tokens, before it is built.

A parser of YAML calls itself for every level, and an alias stands for a whole tree again. Both are
refused by their numbers: 20,000 brackets or nine levels of aliases need a few bytes only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

YAML_CHARACTERS_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32

_OPENING: Final = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING: Final = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def check_yaml(document: str) -> None:
    """Refuse YAML that is too long, too deep, or uses aliases.

    Args:
        document: The text.

    Raises:
        yaml.YAMLError: It is; `problem` says what, and where there is a place `problem_mark`.
    """
    if len(document) > YAML_CHARACTERS_MAX:
        raise yaml.MarkedYAMLError(
            problem=f"the file has more than {YAML_CHARACTERS_MAX} characters"
        )
    depth = 0
    for token in yaml.scan(document, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not read here; write the value out",
                problem_mark=token.start_mark,
            )
        if isinstance(token, _OPENING):
            depth += 1
            if depth > DEPTH_MAX:
                raise yaml.MarkedYAMLError(
                    problem=f"more than {DEPTH_MAX} levels inside each other",
                    problem_mark=token.start_mark,
                )
        elif isinstance(token, _CLOSING):
            depth -= 1


def read_yaml_text(path: Path) -> str:
    """Read a file's text, no further than one character above what `check_yaml` lets pass.

    Args:
        path: The file, UTF-8.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no UTF-8 text.
    """
    with path.open(encoding="utf-8") as file:
        return file.read(YAML_CHARACTERS_MAX + 1)
