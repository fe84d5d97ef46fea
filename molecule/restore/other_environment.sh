#!/usr/bin/env bash
# Makes another environment on this host, for a moment: an ssod with SQLite and a certificate of its own. Prints its
# backup in hex as the last line, and leaves nothing behind.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$daemon" 2>/dev/null || true; wait || true; rm -rf "$work"' EXIT
bin=/opt/ssod/current/bin
cat >"$work/ssod.toml" <<EOT
[server]
name = "$(hostname)"
address = "127.0.0.1:17443"
listen = "127.0.0.1:17443"
may_become_master = true
state_directory = "$work"
socket = "$work/sock"
credentials_socket = "$work/credentials.sock"
[database]
url = "sqlite:///$work/sso.db"
[sealing]
provider = "file"
[access]
sso_administrators = ["group:sso-admins"]
[audit]
file = "$work/audit.log"
EOT
"$bin/ssoctl" database migrate --config "$work/ssod.toml" >/dev/null
"$bin/ssod" --config "$work/ssod.toml" 2>"$work/log" &
daemon=$!
export SSOD_SOCKET=$work/sock
for _ in $(seq 100); do "$bin/ssoctl" master status >/dev/null 2>&1 && break; sleep 0.1; done  # until it answers
"$bin/ssoctl" servers enrol "$(hostname)" 127.0.0.1:17443 --may-become-master >/dev/null
"$bin/ssoctl" master activate >/dev/null
"$bin/ssoctl" secret generate >/dev/null
printf 'passphrase of another one' >"$work/passphrase"
chmod 600 "$work/passphrase"
"$bin/ssoctl" secret backup --output "$work/other.age" --passphrase-file "$work/passphrase" >/dev/null
python3 -c 'import sys; print(open(sys.argv[1], "rb").read().hex())' "$work/other.age"
