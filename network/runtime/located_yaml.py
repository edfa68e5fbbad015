"""Read YAML so that every complaint can name its line: the one reader of files that people write.

Values are asked for by kind (`text`, `word`, `integer`, `number`, `switch`, `items`, `fields`).
What is not of that kind, or not among the allowed keys, is refused with its line and with what is
allowed; a misspelt key gets a suggestion, before a missing one is named. Which error that is, the
caller decides. A key without a value counts as absent.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import yaml

from network.runtime.yaml_limits import check_yaml

#: Makes the error of a line, counted from 1, and a problem.
Refusal = Callable[[int, str], Exception]

TEXT_MAX: Final = 500
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_NULL: Final = "tag:yaml.org,2002:null"
_KINDS: Final = {
    yaml.ScalarNode: "a single value",
    yaml.SequenceNode: "a list",
    yaml.MappingNode: "a mapping of keys",
}


@dataclass(frozen=True, slots=True)
class Located:
    r"""One YAML value with the place it was written.

    Attributes:
        node: The value.
        refusal: Makes this file's errors.
        key: The key that it stands under, in messages; empty at the top.

    >>> def error(line: int, problem: str) -> ValueError:
    ...     return ValueError(f"line {line}: {problem}")
    >>> Located.read("Name: ucsd\nPorts: [1]\n", error).fields({"Name", "Ports"})["Name"].text()
    'ucsd'
    >>> Located.read("Nmae: ucsd", error).fields({"Name"}, required=("Name",))
    Traceback (most recent call last):
    ValueError: line 1: unknown key `Nmae` (did you mean `Name`?); allowed: Name
    """

    node: yaml.Node
    refusal: Refusal = field(repr=False, compare=False)
    key: str = ""

    @classmethod
    def read(cls, document: str, refusal: Refusal) -> Located:
        """Parse a document.

        Raises:
            Exception: It is no YAML, too large or deep, or empty; as `refusal` makes it.
        """
        try:
            check_yaml(document)
            node = yaml.compose(document, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise refusal(line, f"not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise refusal(1, f"not YAML: {error}") from None
        if node is None:
            raise refusal(1, "the file is empty")
        return cls(node, refusal)

    @property
    def line(self) -> int:
        """The line it starts at, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def refuse(self, problem: str) -> Exception:
        """Return the error for this place."""
        return self.refusal(self.line, problem)

    def fields(
        self, allowed: Collection[str], required: Collection[str] = ()
    ) -> dict[str, Located]:
        """Return the values of a mapping by key.

        Raises:
            Exception: It is no mapping, or a key is unknown, doubled or missing.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.refuse(
                f"{self._kind()} where keys are expected: {', '.join(sorted(allowed))}"
            )
        found: dict[str, Located] = {}
        for key_node, value_node in self.node.value:
            key = Located(key_node, self.refusal)
            name = key.text()
            if name not in allowed:
                close = difflib.get_close_matches(name, list(allowed), 1)
                suggestion = f" (did you mean `{close[0]}`?)" if close else ""
                raise key.refuse(
                    f"unknown key `{name}`{suggestion}; allowed: {', '.join(sorted(allowed))}"
                )
            if name in found:
                raise key.refuse(f"key `{name}` stands here twice")
            found[name] = Located(value_node, self.refusal, name)
        found = {name: value for name, value in found.items() if value.node.tag != _NULL}
        for name in required:
            if name not in found:
                raise self.refuse(f"key `{name}` is missing")
        return found

    def check_format(self, expected: int) -> None:
        """Refuse the number of another format than this program reads.

        Raises:
            Exception: It is.
        """
        if (number := self.integer(1)) != expected:
            raise self.refuse(f"format is {number}, this program reads format {expected}")

    def items(self, least: int = 0) -> list[Located]:
        """Return the items of a list.

        Raises:
            Exception: It is no list, or has fewer than `least` items.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.refuse(f"{self._kind()} where a list is expected")
        if len(self.node.value) < least:
            raise self.refuse(f"{self._name()}a list of at least {least} is expected")
        return [Located(item, self.refusal, self.key) for item in self.node.value]

    def text(self, one_of: Collection[str] = ()) -> str:
        """Return a non-empty text of at most 500 characters, one of `one_of` where given.

        Raises:
            Exception: It is no such text.
        """
        if not isinstance(self.node, yaml.ScalarNode) or not str(self.node.value).strip():
            raise self.refuse(f"{self._kind()} where a text is expected")
        value = str(self.node.value).strip()
        if len(value) > TEXT_MAX:
            raise self.refuse(f"{self._name()}longer than {TEXT_MAX} characters")
        if one_of and value not in one_of:
            allowed = ", ".join(sorted(one_of))
            raise self.refuse(f"{self._name()}`{value}` is not allowed here; allowed: {allowed}")
        return value

    def word(self) -> str:
        """Return a text of letters, digits, `_` and `-`, as fits a file name.

        Raises:
            Exception: It is no such text.
        """
        value = self.text()
        if not _WORD.match(value):
            raise self.refuse(
                f"{self._name()}`{value}` must be a word of letters, digits, '_' and '-'"
            )
        return value

    def integer(self, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return an integer of `[least, most]`.

        Raises:
            Exception: It is no such integer.
        """
        value = self.text()
        try:
            number = int(value)
        except ValueError:
            raise self.refuse(
                f"{self._name()}`{value}` is not an integer from {least} to {most}"
            ) from None
        if not least <= number <= most:
            raise self.refuse(f"{self._name()}{number} is not from {least} to {most}")
        return number

    def number(self, least: float, most: float) -> float:
        """Return a finite number of `[least, most]`.

        Raises:
            Exception: It is no such number.
        """
        value = self.text()
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and least <= number <= most):
            raise self.refuse(f"{self._name()}`{value}` is not a number from {least:g} to {most:g}")
        return number

    def switch(self) -> bool:
        """Return true or false.

        Raises:
            Exception: It is neither `true` nor `false`.
        """
        return self.text(("true", "false")) == "true"

    def integers(self) -> tuple[int, ...]:
        """Return a list of integers, at least one.

        Raises:
            Exception: It is no such list.
        """
        return tuple(item.integer() for item in self.items(least=1))

    def texts(self) -> tuple[str, ...]:
        """Return a list of texts, at least one.

        Raises:
            Exception: It is no such list.
        """
        return tuple(item.text() for item in self.items(least=1))

    def _name(self) -> str:
        return f"{self.key}: " if self.key else ""

    def _kind(self) -> str:
        kind = next((word for kind, word in _KINDS.items() if isinstance(self.node, kind)), "?")
        return f"{self._name()}{kind}"
