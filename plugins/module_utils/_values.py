# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Takes the values of a configuration or of a mapping out of a module's options: as text, or as what an export wrote.

It opens nothing; a ciphertext is passed on as it is.
"""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError


def texts(option: str, values: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The values as text. YAML has turned others than strings and whole numbers into something else than was written."""
    odd = sorted(
        f"{name} is {type(value).__name__}"
        for name, value in values.items()
        if isinstance(value, bool) or not isinstance(value, (str, int))
    )
    if odd:
        raise SsodError("invalid-value", f"the values of {option} must be strings", "put them in quotes", conditions=odd)
    return {name: str(value) for name, value in values.items()}


def sealed_or_texts(module: SsoModule, option: str) -> Fields:
    """The member of a request body that has the values; none where neither the option nor ciphertexts are given."""
    if module.params["ciphertexts"] is not None:
        return {"ciphertexts": texts("ciphertexts", module.params["ciphertexts"])}
    if module.params[option] is None:
        return {}
    return {option: texts(option, module.take_values(option))}
