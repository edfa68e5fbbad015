"""Which transaction wrote each public key last, replayed from the blocks.

A peer holds a transaction's reads against these versions when it commits it (Fabric,
kvledger/txmgmt/validation). What a block writes counts at once for the transactions after it and is
kept by `commit`, or forgotten by `drop` where the block is refused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from network.wire.row import TransactionRow, Version

Place = tuple[str, str]  # namespace, key


class KeyVersions:
    """Versions of all public keys of a channel."""

    def __init__(self) -> None:
        self._kept: dict[Place, Version] = {}
        self._sorted: dict[str, list[str]] = {}  # keys ever written, by namespace
        self._pending: dict[Place, Version | None] = {}

    def of(self, namespace: str, key: str) -> Version | None:
        """Return a key's version; None for an absent key."""
        place = (namespace, key)
        return self._pending[place] if place in self._pending else self._kept.get(place)

    def within(
        self, namespace: str, start: str, end: str, *, with_end: bool
    ) -> tuple[tuple[str, Version], ...]:
        """Return the keys of a range that exist, in order, with their versions.

        Keys sort by code points, which is how their UTF-8 bytes sort in a peer's database.
        """
        known = self._sorted.get(namespace, [])
        last = bisect_right(known, end) if with_end else bisect_left(known, end)
        keys = set(known[bisect_left(known, start) : last])
        keys |= {
            key
            for space, key in self._pending
            if space == namespace and (start <= key < end or (with_end and key == end))
        }
        found = ((key, self.of(namespace, key)) for key in sorted(keys))
        return tuple((key, version) for key, version in found if version is not None)

    def write(self, row: TransactionRow, version: Version) -> None:
        """Note what a valid transaction wrote; new metadata renew the version of a key that is."""
        for write in row.writes:
            self._pending[write.namespace, write.key] = None if write.is_delete else version
        for place in row.metadata_keys:
            if self.of(*place) is not None:
                self._pending[place] = version

    def commit(self) -> None:
        """Keep what was written since the last call."""
        for place, version in self._pending.items():
            if version is None:
                self._kept.pop(place, None)
                continue
            if place not in self._kept:
                keys = self._sorted.setdefault(place[0], [])
                at = bisect_left(keys, place[1])
                if at == len(keys) or keys[at] != place[1]:
                    insort(keys, place[1])
            self._kept[place] = version
        self._pending.clear()

    def drop(self) -> None:
        """Forget what was written since the last `commit`."""
        self._pending.clear()
