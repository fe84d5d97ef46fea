"""Lets `python -m ssod.cli` be `ssoctl`."""

from ssod.cli.main import main

main()
