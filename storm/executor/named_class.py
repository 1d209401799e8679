"""Classes that settings name, from the code that a topology brings."""

from __future__ import annotations

import importlib
from typing import Any


def named_class(name: str) -> Any:
    """What `package.module.Class` or `package.module:Class` names, whatever it is. Raises ImportError."""
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (AttributeError, ValueError) as error:
        raise ImportError(str(error)) from error
