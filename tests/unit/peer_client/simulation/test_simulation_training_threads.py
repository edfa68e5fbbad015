"""Hospitals at work at the same time: order is kept, a failure ends the others' work."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from peer_client.simulation.training_threads import StoppedError, TrainingThreads


def no_network() -> object:
    raise AssertionError("nobody here asks for a network")


def test_what_is_found_comes_in_the_order_of_the_items_and_not_of_the_threads() -> None:
    second_is_done = threading.Event()

    def act(item: int) -> int:
        if item == 1:
            assert second_is_done.wait(30)
        else:
            second_is_done.set()
        return 10 * item

    with TrainingThreads(no_network, 2, lambda *_: None) as threads:
        assert threads.each(act, [1, 2]) == [10, 20]


@pytest.mark.parametrize("items", [["fails", "trains forever"], ["trains forever", "fails"]])
def test_a_failure_is_raised_and_ends_what_others_are_at(items: list[str]) -> None:
    ended: list[str] = []
    begun = threading.Event()

    def act(threads: TrainingThreads, item: str) -> None:
        if item == "fails":
            assert begun.wait(30)
            raise ValueError("no lung")
        try:
            while True:
                begun.set()
                threads.told("ucsd", "alone", 1, 2)
        except StoppedError:
            ended.append(item)
            raise

    def all_of_it() -> None:
        with TrainingThreads(no_network, 2, lambda *_: None) as threads:
            threads.each(partial(act, threads), items)

    with pytest.raises(ValueError, match="no lung"):
        all_of_it()
    assert ended == ["trains forever"]


def test_one_thread_at_a_time_tells() -> None:
    inside, most = 0, 0

    def told(*_: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0)  # lets another thread in, if anything does
        inside -= 1

    with TrainingThreads(no_network, 4, told) as threads:
        threads.each(
            lambda name: [threads.told(name, "alone", step, 200) for step in range(200)], "abcd"
        )

    assert most == 1
