# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the fake ssod refuses."""

from __future__ import annotations

import typing as t


class Problem(Exception):
    """A refusal of the fake, as an RFC 9457 document."""

    def __init__(self, status: int, name: str, detail: str = "", conditions: t.Sequence[str] = ()) -> None:
        super().__init__(name)
        self.status = status
        self.document: dict[str, t.Any] = {
            "type": f"urn:holdfast:problem:{name}",
            "title": name.replace("-", " "),
            "status": status,
            "detail": detail or f"the fake says {name}",
            "next": f"mend {name}",
            "tracking_id": "t-1",
        }
        if conditions:
            self.document["conditions"] = list(conditions)
