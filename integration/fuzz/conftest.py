from __future__ import annotations

import sys
from pathlib import Path

for directory in ("fuzz", "cluster", "worker"):
    sys.path.insert(0, str(Path(__file__).parent.parent / directory))
