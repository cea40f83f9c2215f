"""`python -m towpath.serving`."""

import sys

from towpath.serving.server import main

if __name__ == "__main__":
    sys.exit(main())
