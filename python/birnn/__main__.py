"""The command line: ``birnn``, and ``python -m birnn``."""

from __future__ import annotations

import os
import signal
import sys

from birnn import _native


def main() -> None:
    """Runs the command line, and ends with its exit code."""
    # The program itself handles Ctrl-C: it saves what it trains.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = "birnn" if os.path.basename(sys.argv[0]) == "__main__.py" else sys.argv[0]
    sys.exit(_native.main([name, *sys.argv[1:]]))


if __name__ == "__main__":
    main()
