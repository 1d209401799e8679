"""`python -m storm.cli`: the same as `storm`."""

from __future__ import annotations

from storm.cli.main import main

main()
