"""`python -m audiostream`: the console script."""

from .cli import main

raise SystemExit(main())
