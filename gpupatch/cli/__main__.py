"""`python -m gpupatch.cli`."""

import sys

from gpupatch.cli import main

sys.exit(main())
