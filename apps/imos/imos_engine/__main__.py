"""`python -m imos_engine` is the `imos` command."""

import sys

from imos_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
