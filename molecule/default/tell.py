"""Embedded, one host: a second run changes nothing, a port configuration is kept, and no secret shows anywhere."""

from __future__ import annotations

from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, promise, write_report

SAMPLE = str(PROJECT / "samples" / "store_port_configuration.yml")
PASSWORD = "sample-Blue-Harbour-42"  # noqa: S105  the sample's, in samples/sftp-receive-location.yml
HOST = "sso1"

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
