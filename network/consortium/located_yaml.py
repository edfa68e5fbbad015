"""Read YAML so that every complaint can name its line.

Values are asked for by kind (`text`, `integer`, `switch`, `items`, `fields`); what is not of that
kind, or not among the allowed keys, is refused with the line and with what is allowed. Knows
nothing of consortia.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml

from network.consortium.errors import TopologyError
from network.runtime.yaml_limits import check_yaml

_KINDS = {
    yaml.ScalarNode: "a single value",
    yaml.SequenceNode: "a list",
    yaml.MappingNode: "a mapping of keys",
}


@dataclass(frozen=True, slots=True)
class Located:
    r"""One YAML value with the place it was written.

    >>> Located.read("Name: ucsd\nPorts: [1]\n").fields({"Name", "Ports"})["Name"].text()
    'ucsd'
    >>> Located.read("Nmae: ucsd").fields({"Name"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    network.consortium.errors.TopologyError: crypto-config.yaml line 1: unknown key `Nmae` (did...
    """

    node: yaml.Node
    path: Path | None = None

    @classmethod
    def read(cls, document: str, path: Path | None = None) -> Located:
        """Parse a document.

        Raises:
            TopologyError: It is no YAML, or empty.
        """
        try:
            check_yaml(document)
            node = yaml.compose(document, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TopologyError(line, f"not YAML: {error.problem}", path) from None
        except yaml.YAMLError as error:
            raise TopologyError(1, f"not YAML: {error}", path) from None
        if node is None:
            raise TopologyError(1, "the file is empty", path)
        return cls(node, path)

    @property
    def line(self) -> int:
        """The line it starts at, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def refuse(self, problem: str) -> TopologyError:
        """Return the error for this place."""
        return TopologyError(self.line, problem, self.path)

    def fields(
        self, allowed: Collection[str], required: Collection[str] = ()
    ) -> dict[str, Located]:
        """Return the values of a mapping by key.

        Raises:
            TopologyError: It is no mapping, or a key is unknown, doubled or missing.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.refuse(
                f"{self._kind()} where keys are expected: {', '.join(sorted(allowed))}"
            )
        found: dict[str, Located] = {}
        for key_node, value_node in self.node.value:
            key = Located(key_node, self.path)
            name = key.text()
            if name not in allowed:
                close = difflib.get_close_matches(name, list(allowed), 1)
                suggestion = f" (did you mean `{close[0]}`?)" if close else ""
                raise key.refuse(
                    f"unknown key `{name}`{suggestion}; allowed: {', '.join(sorted(allowed))}"
                )
            if name in found:
                raise key.refuse(f"key `{name}` stands here twice")
            found[name] = Located(value_node, self.path)
        for name in required:
            if name not in found:
                raise self.refuse(f"key `{name}` is missing")
        return found

    def items(self) -> list[Located]:
        """Return the items of a list.

        Raises:
            TopologyError: It is no list.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.refuse(f"{self._kind()} where a list is expected")
        return [Located(item, self.path) for item in self.node.value]

    def text(self, one_of: Collection[str] = ()) -> str:
        """Return a non-empty text, one of `one_of` where given.

        Raises:
            TopologyError: It is no such text.
        """
        if not isinstance(self.node, yaml.ScalarNode) or not str(self.node.value).strip():
            raise self.refuse(f"{self._kind()} where a text is expected")
        value = str(self.node.value)
        if one_of and value not in one_of:
            raise self.refuse(
                f"`{value}` is not allowed here; allowed: {', '.join(sorted(one_of))}"
            )
        return value

    def integer(self, least: int, most: int) -> int:
        """Return an integer of `[least, most]`.

        Raises:
            TopologyError: It is no such integer.
        """
        value = self.text()
        try:
            number = int(value)
        except ValueError:
            raise self.refuse(f"`{value}` is not an integer from {least} to {most}") from None
        if not least <= number <= most:
            raise self.refuse(f"{number} is not from {least} to {most}")
        return number

    def switch(self) -> bool:
        """Return true or false.

        Raises:
            TopologyError: It is neither `true` nor `false`.
        """
        return self.text(("true", "false")) == "true"

    def _kind(self) -> str:
        return next((word for kind, word in _KINDS.items() if isinstance(self.node, kind)), "?")
