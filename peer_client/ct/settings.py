"""Take values out of a YAML mapping, one by one, each checked and each error with its line.

`SettingsMapping` wraps one mapping. Every value is asked for by its kind; `finish` then refuses
what was never asked for, so a misspelt key cannot be ignored silently. A key given twice is
refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import yaml

from network.runtime.yaml_limits import check_yaml
from peer_client.ct.errors import HospitalFileError

_LINE: Final = "\0line"
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_TEXT_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class _Places:
    """Lines of a mapping and of its keys."""

    line: int
    keys: dict[str, int]


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps the line of every mapping and refuses keys given twice."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem="a key is not text", problem_mark=key_node.start_mark
                )
            if key in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            lines[key] = key_node.start_mark.line + 1
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep=True)
        mapping[_LINE] = _Places(node.start_mark.line + 1, lines)
        return mapping


class SettingsMapping:
    """One mapping of a YAML file."""

    def __init__(self, mapping: dict[str, object], name: str) -> None:
        self._values = {key: value for key, value in mapping.items() if key != _LINE}
        places = mapping[_LINE]
        if not isinstance(places, _Places):  # only _Loader makes mappings
            raise TypeError("settings come from load_settings")
        self.line = places.line
        self._lines = places.keys
        self._name = name
        self._asked: set[str] = set()

    def wrong(self, problem: str, key: str | None = None) -> HospitalFileError:
        """Return the error that names the file, the line of the key and the problem."""
        line = self._lines.get(key, self.line) if key is not None else self.line
        return HospitalFileError(f"{self._name} line {line}: {problem}", line)

    def has(self, key: str) -> bool:
        """Return whether the key is there and not empty."""
        self._asked.add(key)
        return self._values.get(key) is not None

    def finish(self) -> None:
        """Refuse the keys nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.wrong(f"unknown key {key!r}; known here are {known}", key)

    def text(self, key: str) -> str:
        """Return a text of 1 to 500 characters."""
        return self._as_text(self._value(key), key)

    def word(self, key: str) -> str:
        """Return a text of letters, digits, `_` and `-`, as fits a file name."""
        value = self._value(key)
        if not isinstance(value, str) or not _WORD.match(value):
            raise self.wrong(f"{key} must be a word of letters, digits, '_' and '-'", key)
        return value

    def truth(self, key: str) -> bool:
        """Return true or false."""
        value = self._value(key)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} must be true or false", key)
        return value

    def whole(self, key: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return a whole number within the limits."""
        return self._as_whole(self._value(key), key, least, most)

    def number(self, key: str, least: float, most: float) -> float:
        """Return a number within the limits."""
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"{key} must be a number", key)
        if not (math.isfinite(value) and least <= value <= most):
            raise self.wrong(f"{key} is {value}, allowed is {least:g} to {most:g}", key)
        return float(value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed texts."""
        value = self._value(key)
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(f"{key} must be one of {', '.join(allowed)}", key)
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers, at least one."""
        return tuple(self._as_whole(value, key, 0, 2**31 - 1) for value in self._list(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, at least one."""
        return tuple(self._as_text(value, key) for value in self._list(key))

    def mapping(self, key: str) -> SettingsMapping:
        """Return a mapping within this one."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self.wrong(f"{key} must hold keys of its own", key)
        return SettingsMapping(value, self._name)

    def mappings(self, key: str, *, optional: bool = False) -> tuple[SettingsMapping, ...]:
        """Return a list of mappings, at least one unless optional."""
        if optional and (not self.has(key) or self._values[key] == []):
            return ()
        values = self._list(key)
        settings: list[SettingsMapping] = []
        for value in values:
            if not isinstance(value, dict):
                raise self.wrong(f"every entry of {key} must hold keys of its own", key)
            settings.append(SettingsMapping(value, self._name))
        return tuple(settings)

    def _value(self, key: str) -> object:
        if not self.has(key):
            raise self.wrong(f"{key} is missing")
        return self._values[key]

    def _list(self, key: str) -> list[object]:
        value = self._value(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(f"{key} must be a list with at least one entry", key)
        return value

    def _as_text(self, value: object, key: str) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= _TEXT_MAX:
            raise self.wrong(f"{key} must be a text of 1 to {_TEXT_MAX} characters", key)
        return value.strip()

    def _as_whole(self, value: object, key: str, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(f"{key} must be a whole number", key)
        if not least <= value <= most:
            raise self.wrong(f"{key} is {value}, allowed is {least} to {most}", key)
        return value


def load_settings(text: str, name: str) -> SettingsMapping:
    """Read YAML text whose top is a mapping.

    Args:
        text: The text.
        name: What error messages call it.

    Raises:
        HospitalFileError: The text is not YAML, a key is given twice, or its top is no mapping.
    """
    # _Loader is a SafeLoader: it makes plain values only.
    try:
        check_yaml(text)
        root = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        where = f" line {line}" if line else ""
        problem = getattr(error, "problem", None) or "no valid YAML"
        raise HospitalFileError(f"{name}{where}: {problem}", line) from error
    except ValueError as error:  # a number or a date that is none, e.g. of 5,000 digits
        raise HospitalFileError(f"{name} holds a number or a date that is none") from error
    if not isinstance(root, dict):
        raise HospitalFileError(f"{name} must start with the keys format and hospitals")
    return SettingsMapping(root, name)
