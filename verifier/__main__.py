"""`python -m verifier` is `mirrorproof`."""

from verifier.cli import main

main()
