from __future__ import annotations

import inspect

from storm import errors


def test_one_tree_and_every_error_says_what_it_means() -> None:
    found = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    assert len(found) > 20
    for error in found:
        assert issubclass(error, errors.StormError | errors.FailedError)
        assert error.__doc__
