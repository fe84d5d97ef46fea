# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can change at any time.

"""What the modules of the collection have in common, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    """The shared option, and the attributes of modules that change something and of info modules."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - The unix socket of C(ssod) on the managed host.
    type: path
    default: /run/ssod/ssod.sock
requirements:
  - C(ssod), the SSO server of this collection, running on the managed host. No Python package is needed there.
notes:
  - C(ssod) knows the caller by the Unix user of the task and its groups, as the kernel tells them. V(root) may do nothing
    because it is root. Run the task as a user that has the role the act needs, with C(become_user).
  - A failure returns RV(ignore:problem), the name of the problem as in the API of C(ssod), RV(ignore:conditions), every
    failed
    condition, RV(ignore:next), what to do next, and RV(ignore:tracking_id), which finds the call in the audit log.
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell whether it would change something, without changing it.
    support: full
  diff_mode:
    description: Shows what changed in diff mode. Key ids and names are shown, values never.
    support: full
  idempotent:
    description: Run a second time with the same options, it changes nothing.
    support: full
"""

    INFO_ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell whether it would change something, without changing it.
    support: full
    details:
      - It only reads.
  diff_mode:
    description: Shows what changed in diff mode. Key ids and names are shown, values never.
    support: N/A
    details:
      - It only reads.
  idempotent:
    description: Run a second time with the same options, it changes nothing.
    support: full
    details:
      - It only reads.
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/holdfast.sso.sso) in C(module_defaults) to set O(ignore:socket) for every module of the
      collection.
    support: full
    membership:
      - holdfast.sso.sso
"""
