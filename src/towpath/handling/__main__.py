"""`python -m towpath.handling`: call a function once, in the job whose /opt/ml is TOWPATH_FUNCTION_BASE."""

import os
import sys
from pathlib import Path

from towpath.handling.supervisor import main

if __name__ == "__main__":
    sys.exit(main(Path(os.environ.get("TOWPATH_FUNCTION_BASE") or "/opt/ml").absolute()))
