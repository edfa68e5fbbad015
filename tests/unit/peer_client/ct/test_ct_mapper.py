from __future__ import annotations

import os
import signal

import pytest

from peer_client.ct.errors import ImageError
from peer_client.ct.image import decode_image
from peer_client.ct.mapper import mapper


def test_two_processes_give_results_in_order() -> None:
    with mapper(2) as mapped:
        lengths = list(mapped(len, ["a" * number for number in range(6)]))

    assert lengths == [0, 1, 2, 3, 4, 5]


def test_one_process_works_here() -> None:
    with mapper(1) as mapped:
        assert list(mapped(lambda _: os.getpid(), [0])) == [os.getpid()]


def refuse(name: str) -> None:
    decode_image(b"", name=name)


def test_an_error_of_the_work_comes_out_with_its_sentence_and_hint() -> None:
    with mapper(2) as mapped, pytest.raises(ImageError, match=r"x\.png is empty") as caught:
        list(mapped(refuse, ["x.png"]))

    assert caught.value.hint


def test_ctrl_c_is_not_heard_by_the_processes_and_is_heard_here_again() -> None:
    before = signal.getsignal(signal.SIGINT)

    with mapper(2) as mapped:
        handlers = list(mapped(signal.getsignal, [signal.SIGINT]))

    assert handlers == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) is before
