"""For daemons under libfaketime: a sleep that it does not break.

`time.sleep` waits until a time of the monotonic clock. libfaketime 0.9 takes that for a time of the wall clock that it
fakes and makes a negative one of it, which the kernel refuses (EINVAL). A wait for so many seconds stays what it is.
"""

import select
import time


def sleep(secs: float) -> None:
    select.select([], [], [], secs)


time.sleep = sleep
