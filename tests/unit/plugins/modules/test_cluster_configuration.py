# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cluster_configuration: puts in what it is given, takes out what it is told, and touches nothing else in the cluster."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import sys
import typing as t
import xml.etree.ElementTree as ET

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.holdfast.sso.plugins.module_utils import _cib as deciding
from ansible_collections.holdfast.sso.plugins.modules import cluster_configuration as module
from ansible_collections.holdfast.sso.tests.unit.rig import INVOCATION, Outcome

CANARY = "canary-fence-password"
# As `cibadmin --query` answered on Debian 12 and on Debian 13, with a database cluster of others in it.
HEADS = {
    "2.1.5": 'crm_feature_set="3.16.1" validate-with="pacemaker-3.9"',
    "3.0.0": 'crm_feature_set="3.20.0" validate-with="pacemaker-4.0"',
}
CIB = """
<cib {head} epoch="{epoch}" num_updates="4" admin_epoch="0" update-origin="b1" have-quorum="1" dc-uuid="2">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="cib-bootstrap-options-have-watchdog" name="have-watchdog" value="false"/>
        <nvpair id="cib-bootstrap-options-dc-version" name="dc-version" value="{version}"/>
      </cluster_property_set>
    </crm_config>
    <nodes>
      <node id="1" uname="b1"/>
      <node id="2" uname="b2"/>
    </nodes>
    <resources>
      <clone id="pgsqld-clone">
        <primitive id="pgsqld" class="ocf" provider="heartbeat" type="pgsqlms"/>
        <meta_attributes id="pgsqld-clone-meta">
          <nvpair id="pgsqld-clone-promotable" name="promotable" value="true"/>
        </meta_attributes>
      </clone>
      <primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"/>
    </resources>
    <constraints>
      <rsc_colocation id="vip-with-pgsqld" rsc="vip" with-rsc="pgsqld-clone" with-rsc-role="Promoted" score="INFINITY"/>
    </constraints>
  </configuration>
  <status/>
</cib>
"""
WISH = """
<configuration>
  <resources>
    <primitive type="fence_redfish" class="stonith" id="sso-fence-b1">
      <!-- How b1 is powered off. -->
      <instance_attributes id="sso-fence-b1-parameters">
        <nvpair id="sso-fence-b1-password" name="password" value="{password}"/>
        <nvpair id="sso-fence-b1-username" name="username" value="admin"/>
      </instance_attributes>
    </primitive>
  </resources>
  <constraints>
    <rsc_location id="sso-fence-b1-not-itself" rsc="sso-fence-b1" node="b1" score="-INFINITY"/>
  </constraints>
  <rsc_defaults>
    <meta_attributes id="sso-defaults">
      <nvpair id="sso-defaults-stickiness" name="resource-stickiness" value="100"/>
    </meta_attributes>
  </rsc_defaults>
</configuration>
"""


@pytest.fixture(params=sorted(HEADS))
def cib(request: pytest.FixtureRequest) -> ET.Element:
    return ET.fromstring(CIB.format(head=HEADS[request.param], version=request.param, epoch=7))


def wish(password: str = CANARY) -> ET.Element:
    return deciding.read_wish(WISH.format(password=password))


def within(cib: ET.Element) -> ET.Element:
    configuration = cib.find("configuration")
    assert configuration is not None
    return configuration


def added(cib: ET.Element) -> ET.Element:
    """The CIB after the wish."""
    return deciding.changed_cib(cib, deciding.plan_present(within(cib), wish(), {"stonith-enabled": True}))


def refusal(plan: t.Callable[..., t.Any], *arguments: t.Any) -> str:
    with pytest.raises(deciding.Refused) as caught:
        plan(*arguments)
    return "; ".join(caught.value.faults)


def test_what_is_missing_is_added_and_nothing_else_changes(cib: ET.Element) -> None:
    """Sections that were not there come with their first element; one epoch on."""
    changes = deciding.plan_present(within(cib), wish(), {"stonith-enabled": True})
    assert [(change.action, change.section, change.id) for change in changes] == [
        ("add", "resources", "sso-fence-b1"),
        ("add", "constraints", "sso-fence-b1-not-itself"),
        ("add", "rsc_defaults", "sso-defaults"),
        ("add", "crm_config", "cib-bootstrap-options-stonith-enabled"),
    ]
    before = deciding.canonical(cib)
    new = deciding.changed_cib(cib, changes)
    assert deciding.canonical(cib) == before
    assert (new.get("epoch"), new.get("num_updates")) == ("8", "0")
    assert [element.get("id") for element in new.iterfind("configuration/resources/*")] == ["pgsqld-clone", "vip", "sso-fence-b1"]
    pair = new.find(".//nvpair[@name='stonith-enabled']")
    assert pair is not None and pair.get("value") == "true"


def test_what_is_owned_and_not_wished_any_more_goes(cib: ET.Element) -> None:
    """In the same push; what is neither owned nor wished stays."""
    owned = ET.fromstring(
        """<configuration>
          <resources><primitive id="sso-fence-b1"/><primitive id="vip"/><primitive id="never-there"/></resources>
          <constraints><rsc_colocation id="vip-with-pgsqld"/></constraints>
        </configuration>"""
    )
    obsolete = deciding.left_over(owned, wish())
    changes = deciding.plan_present(within(cib), wish(), {}) + deciding.plan_absent(within(cib), obsolete)
    assert [(change.action, change.id) for change in changes] == [
        ("add", "sso-fence-b1"),
        ("add", "sso-fence-b1-not-itself"),
        ("add", "sso-defaults"),
        ("remove", "vip"),
        ("remove", "vip-with-pgsqld"),
    ]
    new = deciding.changed_cib(cib, changes)
    assert [element.get("id") for element in new.iterfind("configuration/resources/*")] == ["pgsqld-clone", "sso-fence-b1"]


def test_a_second_time_nothing_changes(cib: ET.Element) -> None:
    """Neither white space, nor comments, nor the order of attributes is a difference."""
    again = ET.fromstring(ET.tostring(added(cib)))
    assert deciding.plan_present(within(again), wish(), {"stonith-enabled": "true"}) == []


def test_an_element_that_differs_is_replaced_in_its_place(cib: ET.Element) -> None:
    """As a whole, where it stood."""
    there = added(cib)
    new = deciding.changed_cib(there, deciding.plan_present(within(there), wish("another-password"), {}))
    names = [element.get("id") for element in new.iterfind("configuration/resources/*")]
    assert names == ["pgsqld-clone", "vip", "sso-fence-b1"]
    assert [pair.get("value") for pair in new.iter("nvpair") if pair.get("name") == "password"] == ["another-password"]


def test_the_order_of_children_is_a_difference() -> None:
    """The members of a group start in their order."""
    one = ET.fromstring('<group id="g"><primitive id="a"/><primitive id="b"/></group>')
    other = ET.fromstring('<group id="g"><primitive id="b"/><primitive id="a"/></group>')
    assert deciding.canonical(one) != deciding.canonical(other)


@pytest.mark.parametrize(
    ("element", "named"),
    [
        ('<primitive id="vip" class="ocf" provider="heartbeat" type="Dummy"/>', "primitive vip (ocf:heartbeat:IPaddr2)"),
        ('<group id="vip"><primitive id="a" class="ocf" provider="heartbeat" type="Dummy"/></group>', "is not group vip"),
        ('<primitive id="pgsqld" class="ocf" provider="heartbeat" type="pgsqlms"/>', "id pgsqld of primitive pgsqld"),
        ('<clone id="pgsqld-clone"><primitive id="other" class="ocf" provider="x" type="y"/></clone>', "is not clone pgsqld-clone"),
        ('<clone id="mine"><primitive id="pgsqld" class="ocf" provider="x" type="y"/></clone>', "id pgsqld of clone mine"),
    ],
)
def test_an_existing_resource_of_the_same_name_is_refused(cib: ET.Element, element: str, named: str) -> None:
    """Another kind, another agent, or the same id anywhere else in the configuration."""
    wanted = deciding.read_wish(f"<configuration><resources>{element}</resources></configuration>")
    text = refusal(deciding.plan_present, within(cib), wanted, {})
    assert "existing resource of the same name" in text
    assert named in text


def test_a_fence_device_may_change_its_agent(cib: ET.Element) -> None:
    """It still fences the same host, and there must be no moment without it."""
    there = added(cib)
    other = deciding.read_wish(WISH.format(password=CANARY).replace("fence_redfish", "fence_ipmilan"))
    assert [change.action for change in deciding.plan_present(within(there), other, {})] == ["replace"]


def test_the_cluster_is_as_it_was_found_after_a_removal(cib: ET.Element) -> None:
    """Sections that came with us go with us. What Pacemaker left behind for our resources goes too; properties stay."""
    there = added(cib)
    constraints = there.find("configuration/constraints")
    assert constraints is not None
    ET.SubElement(constraints, "rsc_location", {"id": "cli-prefer-sso-fence-b1", "rsc": "sso-fence-b1", "node": "b2"})
    new = deciding.changed_cib(there, deciding.plan_absent(within(there), wish()))
    former = ET.SubElement(cib.find("configuration/crm_config/cluster_property_set"), "nvpair")  # type: ignore[arg-type]
    former.attrib.update({"id": "cib-bootstrap-options-stonith-enabled", "name": "stonith-enabled", "value": "true"})
    assert deciding.canonical(within(new)) == deciding.canonical(within(cib))
    assert deciding.plan_absent(within(new), wish()) == []


def test_an_id_is_enough_for_a_removal(cib: ET.Element) -> None:
    """The kind is compared only where it is given."""
    resources = '<resources><primitive id="sso-fence-b1"/></resources>'
    constraints = '<constraints><rsc_location id="sso-fence-b1-not-itself"/></constraints>'
    wanted = deciding.read_wish(f"<configuration>{resources}{constraints}</configuration>")
    changes = deciding.plan_absent(within(added(cib)), wanted)
    assert [change.id for change in changes] == ["sso-fence-b1", "sso-fence-b1-not-itself"]


def test_what_others_refer_to_is_not_removed(cib: ET.Element) -> None:
    """Nor is something of the same name and another kind."""
    clone = '<configuration><resources><clone id="pgsqld-clone"/></resources></configuration>'
    text = refusal(deciding.plan_absent, within(cib), deciding.read_wish(clone))
    assert text == "rsc_colocation vip-with-pgsqld in section constraints still refers to pgsqld-clone"
    group = '<configuration><resources><group id="vip"/></resources></configuration>'
    assert "not ours to remove" in refusal(deciding.plan_absent, within(cib), deciding.read_wish(group))


@pytest.mark.parametrize(
    ("xml", "fault"),
    [
        ("<configuration>", "not well-formed"),
        ("<resources/>", "is a resources element"),
        ("<configuration><crm_config/></configuration>", "use the option properties"),
        ("<configuration><resources><primitive/></resources></configuration>", "has no id"),
    ],
)
def test_a_wish_that_is_none_is_refused(xml: str, fault: str) -> None:
    assert fault in refusal(deciding.read_wish, xml)


def test_the_diff_shows_what_changes_and_no_secret(cib: ET.Element) -> None:
    """A mask tells whether it hides another value."""
    there = added(cib)
    diff = deciding.shown(deciding.plan_present(within(there), wish("another-password"), {"stonith-enabled": "false"}))
    assert CANARY not in str(diff) and "another-password" not in str(diff)
    assert 'name="password" value="********"/>' in diff["before"]
    assert 'name="password" value="******** (changed)"/>' in diff["after"]
    assert 'name="username" value="admin"/>' in diff["after"]
    assert "vip" not in diff["after"] and "sso-defaults" not in diff["after"]
    assert '  <nvpair id="cib-bootstrap-options-stonith-enabled" name="stonith-enabled" value="false"/>' in diff["after"]


def test_a_tools_message_shows_no_secret() -> None:
    assert deciding.masked(f"bad value {CANARY} here", wish()) == "bad value ******** here"


# Pacemaker's tools, as far as the module uses them, around a CIB in a file. A patch is the version it is for, and the new CIB.
TOOLS = """#!{python}
import os, pathlib, sys, xml.etree.ElementTree as ET
name, *words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
here = pathlib.Path(__file__).parent
cib = pathlib.Path(os.environ.get("CIB_file", here / "cib.xml"))
with (here / "calls").open("a") as calls:
    print(name, *words, file=calls)
version = lambda text: ET.fromstring(text).get("epoch")
if name == "crm_diff":
    print(version(pathlib.Path(words[1]).read_text()), pathlib.Path(words[3]).read_text(), sep="\\n")
    sys.exit(1)
if words == ["--query"] and name == "cibadmin":
    if not cib.exists():
        print("cibadmin: Could not connect to the CIB API: Transport endpoint is not connected", file=sys.stderr)
        sys.exit(102)
    print(cib.read_text())
    quicker = here / "somebody-is-quicker"
    if quicker.exists():
        quicker.unlink()
        cib.write_text(cib.read_text().replace('epoch="7"', 'epoch="8"'))
if "--patch" in words:
    epoch, new = sys.stdin.read().split("\\n", 1)
    if epoch != version(cib.read_text()):
        print("Call cib_apply_diff failed: Update was older than existing configuration", file=sys.stderr)
        sys.exit(103)
    if "primitif" in new:
        print("Call failed: Update does not conform to the configured schema", file=sys.stderr)
        sys.exit(78)
    cib.write_text(new)
if name == "crm_verify":
    print("/tmp/n.xml:16: element primitif: Relax-NG validity error : Did not expect element primitif there", file=sys.stderr)
    sys.exit(78)
"""


@pytest.fixture
def cluster(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory with a CIB and the tools that know it."""
    for name in ("cibadmin", "crm_diff", "crm_resource", "crm_verify"):
        tool = tmp_path / name
        tool.write_text(TOOLS.replace("{python}", sys.executable))
        tool.chmod(0o755)
    (tmp_path / "cib.xml").write_text(CIB.format(head=HEADS["3.0.0"], version="3.0.0", epoch=7))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def runner() -> t.Callable[..., Outcome]:
    """Runs the module, which has no socket as those of ssod have."""

    def run(check: bool = False, **options: t.Any) -> Outcome:
        stdout = io.StringIO()
        exit_code = -1
        arguments = {"_ansible_check_mode": check, "_ansible_diff": True, **INVOCATION, **options}
        with patch_module_args(arguments), contextlib.redirect_stdout(stdout):
            try:
                module.main()
            except SystemExit as ending:
                exit_code = int(ending.code or 0)
        assert CANARY not in stdout.getvalue()
        return Outcome(stdout.getvalue(), exit_code)

    return run


def test_check_run_check_run(runner: t.Callable[..., Outcome], cluster: pathlib.Path) -> None:
    """Only the first run changes anything, check mode tells so beforehand, and nothing printed holds a secret."""
    options = {"xml": WISH.format(password=CANARY), "properties": {"stonith-enabled": True}}
    before = (cluster / "cib.xml").read_text()
    foretold = runner(check=True, **options)
    assert foretold.changed and (cluster / "cib.xml").read_text() == before
    done = runner(**options)
    assert done.changed
    assert foretold["diff"] == done["diff"] and foretold["changes"] == done["changes"]
    assert not runner(check=True, **options).changed
    assert not runner(**options).changed
    calls = (cluster / "calls").read_text()
    assert calls.count("cibadmin --patch") == 2 and calls.count("crm_resource --wait --timeout=60s") == 1
    assert CANARY not in calls


def test_somebody_who_was_quicker_is_not_overwritten(runner: t.Callable[..., Outcome], cluster: pathlib.Path) -> None:
    """The push fails, and everything is read and decided anew."""
    (cluster / "somebody-is-quicker").touch()
    assert runner(xml=WISH.format(password=CANARY), wait=0).changed
    assert 'epoch="9"' in (cluster / "cib.xml").read_text()
    assert (cluster / "calls").read_text().count("cibadmin --patch") == 2


@pytest.mark.parametrize("check", [True, False])
def test_what_the_schema_refuses_is_said_in_words(runner: t.Callable[..., Outcome], cluster: pathlib.Path, check: bool) -> None:
    """In check mode too."""
    outcome = runner(check=check, xml='<configuration><resources><primitif id="x"/></resources></configuration>')
    assert outcome.failed
    assert outcome["faults"] == ["Pacemaker's schema refuses it: Did not expect element primitif there"]


def test_a_cluster_that_does_not_run_is_named(runner: t.Callable[..., Outcome], cluster: pathlib.Path) -> None:
    (cluster / "cib.xml").unlink()
    outcome = runner(xml="<configuration/>")
    assert outcome["faults"] == ["the cluster is not running on this host"]
    assert "systemctl status" in outcome["next"]


def test_a_cluster_without_quorum_is_left_alone(runner: t.Callable[..., Outcome], cluster: pathlib.Path) -> None:
    path = cluster / "cib.xml"
    path.write_text(path.read_text().replace('have-quorum="1"', 'have-quorum="0"'))
    assert "no quorum" in runner(xml=WISH.format(password=CANARY))["msg"]


def test_properties_are_not_removed(runner: t.Callable[..., Outcome], cluster: pathlib.Path) -> None:
    assert "state=absent" in runner(state="absent", properties={"stonith-enabled": True})["msg"]
