"""A pulse tells from when to when nothing went on."""

from __future__ import annotations

import time
from itertools import pairwise

from labs.judge import pulse
from labs.judge.pulse import Pulse
from labs.waiting import wait_until


def test_a_pause_is_told_with_its_beginning_and_its_end() -> None:
    with Pulse(time.monotonic, stall_s=-1.0) as felt:  # every beat is one that is told
        wait_until(lambda: len(felt.stalls) >= 3, 10)
    assert all(end - begin >= pulse.BEAT_S / 2 for begin, end in felt.stalls)
    assert all(one[1] <= two[0] + 0.01 for one, two in pairwise(felt.stalls))


def test_a_machine_that_goes_on_stood_never_still() -> None:
    with Pulse(time.monotonic, stall_s=3600.0) as felt:
        time.sleep(2 * pulse.BEAT_S)
    assert not felt.stalls
