"""`python -m tokentape`."""

import sys

from tokentape.cli import main

if __name__ == "__main__":
    sys.exit(main())
