"""SoftHSM 2: tokens in a directory of the test's own, made by its own tool."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234-test"


class SoftHsm:
    """`environment` has SoftHSM find the tokens, in this process and in those that it starts."""

    def __init__(self, root: Path) -> None:
        self.tokens = root / "tokens"
        self.tokens.mkdir()
        self.configuration = root / "softhsm2.conf"
        self.configuration.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(self.configuration)}

    def make(self, label: str) -> None:
        self._tool("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN)

    def take_out(self) -> None:
        self.tokens.rename(self.tokens.with_name("taken-out"))
        self.tokens.mkdir()

    def put_back(self) -> None:
        self.tokens.rmdir()
        self.tokens.with_name("taken-out").rename(self.tokens)

    def describe(self, path: Path, label: str, key: str = "holdfast", module: str = MODULE) -> Path:
        path.write_text(f'module = "{module}"\ntoken = "{label}"\nkey = "{key}"\n')
        return path

    def _tool(self, *arguments: str) -> None:
        subprocess.run(["/usr/bin/softhsm2-util", *arguments], env=os.environ | self.environment, check=True, capture_output=True)
