from __future__ import annotations

import threading

from storm.thrift import caller


def test_an_address_is_that_of_the_threads_call_while_it_lasts() -> None:
    seen = [caller.address()]
    with caller.calling_from("192.0.2.1"):
        other = threading.Thread(target=lambda: seen.append(caller.address()))
        other.start()
        other.join()
        seen.append(caller.address())
    assert [*seen, caller.address()] == ["", "", "192.0.2.1", ""]
