"""`python -m tandem.cli`: the `tandem` command where its script is not on the path."""

from tandem.cli import main

main()
