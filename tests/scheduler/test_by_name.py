from __future__ import annotations

import pytest

from storm.errors import ConfigError
from storm.scheduler import even
from storm.scheduler.by_name import scheduler_named


@pytest.mark.parametrize("name", [None, "even", "org.apache.storm.scheduler.EvenScheduler"])
def test_even_is_the_scheduler_under_each_of_its_names(name: str | None) -> None:
    assert scheduler_named(name) is even.schedule


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'evne'.*Did you mean 'even'"):
        scheduler_named("evne")
