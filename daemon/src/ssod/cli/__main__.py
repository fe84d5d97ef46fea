"""Where `ssoctl` begins: at its one quick command, or at all the others."""

from __future__ import annotations

import sys
from typing import NoReturn

from ssod.cli import fitness


def main() -> NoReturn:
    asked = fitness.is_asked(sys.argv[1:])
    if asked is not None:
        path, as_json = asked
        sys.exit(fitness.run(path, as_json=as_json))
    from ssod.cli.main import run

    sys.exit(run())


if __name__ == "__main__":
    main()
