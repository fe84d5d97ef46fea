# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""What every module of the collection is: a specification, the API, check mode, and one way to end.

It knows no resource; what is to be done is a Plan, made by a pure function in the module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import DEFAULT_SOCKET, Ssod, SsodError

# Not dict[...]: an alias is evaluated, and a managed host may have an older Python than the annotations need.
Fields = t.Dict[str, t.Any]  # noqa: UP006

# A shorter value is masked by name only: masking "5432" or "m1" wherever it occurs would make every message unreadable.
SHORTEST_MASKED = 8


@dataclasses.dataclass(frozen=True)
class Plan:
    """A decision: does anything change, and what will be there afterwards, as far as that can be known."""

    changed: bool
    predicted: t.Any = None


class SsoModule(AnsibleModule):
    """An AnsibleModule with the option socket, the API behind it, and readable endings."""

    def __init__(self, argument_spec: t.Mapping[str, t.Any], returns: str = "", **rules: t.Any) -> None:
        spec = {"socket": {"type": "path", "default": DEFAULT_SOCKET}}
        spec.update(argument_spec)
        super().__init__(argument_spec=spec, supports_check_mode=True, **rules)
        self._returns = returns
        self.api = Ssod(self.params["socket"])

    @contextlib.contextmanager
    def reporting_errors(self) -> t.Iterator[None]:
        """Turns an error into fail_json, once: what and which, every condition, and what next."""
        try:
            yield
        except SsodError as error:
            self.fail_json(
                msg=error.sentence(),
                problem=error.problem,
                conditions=error.conditions,
                next=error.next_step,
                tracking_id=error.tracking_id,
            )

    def carry_out(self, plan: Plan, act: t.Callable[[], t.Any]) -> t.Any:
        """What is there afterwards. Nothing is done in check mode, or when nothing changes: only here is that decided."""
        if self.check_mode or not plan.changed:
            return plan.predicted
        return act()

    def finish(self, planned: Plan, before: Fields, after: Fields, /, result: Fields | None = None, **more: t.Any) -> None:
        """Ends the module. before and after are public fields, for the diff; result is what is returned, or else after."""
        ending: Fields = {"changed": planned.changed, self._returns: after if result is None else result, **more}
        if self._diff:
            ending["diff"] = {"before": before, "after": after}
        self.exit_json(**ending)

    def report(self, **found: t.Any) -> None:
        """Ends an info module with what it found."""
        self.exit_json(changed=False, **found)

    def take_values(self, option: str) -> dict[str, t.Any]:
        """Takes the values of a no_log dictionary out of params, so that names stay readable and values are nowhere.

        Ansible masks every value wherever it occurs in a result. For a value like "5432" that hides half of an
        error message, and for a value like "m1" it tells what the value is.
        """
        values = dict(self.params[option] or {})
        self.params[option] = dict.fromkeys(values, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
        own = {str(value) for value in values.values()}
        public = " ".join(str(self.params[name]) for name in self.params)
        self.no_log_values.difference_update(value for value in own if len(value) < SHORTEST_MASKED or value in public)
        return values


def chosen(fields: t.Mapping[str, t.Any] | None, names: t.Iterable[str]) -> Fields:
    """The named fields, for a diff; nothing for nothing."""
    return {name: fields.get(name) for name in names} if fields is not None else {}
