"""`python -m reports.cli`: the command `course`."""

import sys

from . import main

sys.exit(main())
