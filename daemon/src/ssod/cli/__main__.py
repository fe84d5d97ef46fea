"""Where `ssoctl` begins: at one of the few quick commands, or at all the others."""

from __future__ import annotations

import sys
from typing import NoReturn

from ssod.cli import lean


def main() -> NoReturn:
    asked = lean.asked(sys.argv[1:])
    if asked is not None:
        sys.exit(lean.run(*asked))
    from ssod.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
