# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can change at any time.

"""What the lookups of the collection have in common, documented once."""

from __future__ import annotations


class ModuleDocFragment:
    """The server that is asked, and what becomes of the values."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - The unix socket of the C(ssod) that is asked, on the control node, for that is where lookups run. One of another host
        is there by C(ssh -N -L LOCAL:/run/ssod/ssod.sock HOST).
    type: path
    default: /run/ssod/ssod.sock
    env:
      - name: SSOD_SOCKET
    vars:
      - name: sso_lookup_socket
notes:
  - C(ssod) knows the caller by the Unix user that runs the playbook and its groups, or behind C(ssh) by the user that
    logged in there.
  - A lookup shows and logs none of the values, and errors name fields only. What becomes of a value is for the task that
    uses it to say. Ansible knows a value to be secret only where it is given to an option that is declared C(no_log), as
    those of the modules of this collection are. Give every other task that uses one C(no_log=true), and do not keep it in a
    registered variable or a fact that is cached.
  - What is given is text, and not taken for a template, whatever it holds.
"""
