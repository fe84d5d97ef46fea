# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can change at any time.

"""What the lookups of the collection have in common: the server that they ask, and errors that name fields and no value."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod, SsodError


@contextlib.contextmanager
def asking(lookup: LookupBase) -> t.Iterator[Ssod]:
    """The API behind the option socket. Its refusals are the lookup's, in words; nothing is shown at any verbosity."""
    try:
        yield Ssod(lookup.get_option("socket"))
    except SsodError as error:
        # Without its cause: ansible would print the whole chain, which says the same twice.
        raise AnsibleLookupError(error.sentence()) from None


def one_of(values: t.Mapping[str, str], field: str, where: str) -> str:
    """The value of a field. Raises SsodError, naming those that are there."""
    if field in values:
        return values[field]
    named = ", ".join(sorted(values)) or "none"
    raise SsodError("field-not-found", f"{where} has no field {field} to be given", f"name one of its fields: {named}")
