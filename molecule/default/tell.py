"""Embedded, one host: a second run changes nothing, a port configuration is kept, and no secret shows anywhere."""

from __future__ import annotations

import json

from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, promise, write_report

SAMPLE = str(PROJECT / "samples" / "store_port_configuration.yml")
PASSWORD = "sample-Blue-Harbour-42"  # noqa: S105  the sample's, in samples/sftp-receive-location.yml
HOST = "sso1"


def acts_shown(user: str) -> bool:
    """Whether the status page of this host shows its last acts to a user of it."""
    program = "import urllib.request; print(urllib.request.urlopen(\"http://127.0.0.1:7480/v1/page\").read().decode())"
    page = json.loads(env.ssh(HOST, f"setpriv --reuid {user} --regid {user} --init-groups python3 -c '{program}'"))
    promise(page["status"]["server"]["name"] == HOST and page["level"] == "well", f"the status page says to {user} that all is well")
    return page["acts"] is not None


env = Environment("mol-default", PROJECT / "inventories" / "embedded" / "groups.yml")
Probes(env, [HOST]).equip(HOST)

with Watch(env) as watch:
    second = env.must("holdfast.sso.site", "-vvv", "--diff")
    promise(second.changed == 0, "a second site.yml changes nothing")
    predicted = env.must("holdfast.sso.site", "--check", "--diff")
    promise(predicted.changed == 0, "site.yml --check after the second run predicts no change")

    tried = env.must(SAMPLE, "-vvv", "--check", "--diff")
    promise(env.ask(HOST, "GET", "/v1/applications/sftp-receive")[0] == 404, "--check stores no application")
    promise(tried.changed == 2, "--check predicts the application and its configuration")
    stored = env.must(SAMPLE, "-vvv", "--diff")
    promise(stored.changed == 2, "the sample's application and configuration are stored")
    again = env.must(SAMPLE, "-vvv", "--diff")
    promise(again.changed == 0, "storing them again changes nothing")
    shown = env.ssh(HOST, "ssoctl config get sftp-receive orders-in")
    promise(PASSWORD not in shown and "sftp.example.com" in shown, "the masked password is hidden unless it is asked for")

    env.must("holdfast.sso.backup_secret", "-vvv", "--diff")
    env.must("holdfast.sso.status", "-vvv")
    env.ssh(HOST, "systemctl restart ssod")
    revealed = env.must_ask(HOST, "GET", "/v1/applications/sftp-receive/config/orders-in?reveal=true")
    promise(revealed["properties"]["password"] == PASSWORD, "the password reads back decrypted after a restart of ssod")

    promise(acts_shown("root") and not acts_shown("daemon"), "it shows the last acts to an SSO administrator, and to nobody else")

leaked = watch.leaks(secrets_of(env) | {"the sample's password": PASSWORD.encode()})
promise(leaked == [], f"no secret is in any output, journal, diff, argv, environment or core file: {leaked}")

write_report(
    "default",
    {
        "hosts": {HOST: "trixie"},
        "figures": {
            "site_second_run_changed": second.changed,
            "site_second_run_seconds": round(second.seconds, 1),
            "leaks": len(leaked),
        },
    },
)
