"""The command line `testhosts`: reads arguments, calls one use case, prints its result, translates errors once."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from . import access, board, images, redfish, spec
from .environments import Environment, environments, opened
from .errors import HostsError
from .system import interrupted, require_setup, say

EPILOG = """environments are kept in ${HOLDFAST_TESTHOSTS_STATE:-/var/lib/holdfast-testhosts}/ENV,
images in ${HOLDFAST_TESTHOSTS_CACHE:-/var/cache/holdfast-testhosts};
HOLDFAST_TESTHOSTS_MIRROR names another Debian mirror for images."""


def main(arguments: list[str]) -> int:
    """Run one command; return the exit code."""
    os.umask(0o022)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    try:
        require_setup()
        code: int = options.act(options)
    except HostsError as error:
        say(f"testhosts: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        interrupted.set()
        say("testhosts: interrupted; repeat `up` to go on, or run `testhosts down ENV` to remove what there is")
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="testhosts", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    image = commands.add_parser("image", help="build an image now, and print its directories")
    image.add_argument("release", choices=images.RELEASES)
    image.add_argument("--layer", action="append", default=[], choices=list(images.LAYERS), dest="layers")
    image.set_defaults(act=_image)

    up = commands.add_parser("up", help="make and start the hosts that are not there; print the inventory's path")
    up.add_argument("environment", metavar="ENV", type=str)
    up.add_argument("--spec", required=True, type=Path, metavar="FILE.json")
    up.set_defaults(act=_up)

    down = commands.add_parser("down", help="remove an environment with all that belongs to it")
    down.add_argument("environment", metavar="ENV")
    down.set_defaults(act=_down)

    for verb, text in {
        "off": "cut a host's power",
        "stop": "shut a host down in good order",
        "on": "boot a host from the disk it has, and wait until it is ready",
        "cut": "put a host behind a dead switch",
        "join": "bring the switch back",
    }.items():
        command = commands.add_parser(verb, help=text)
        command.add_argument("environment", metavar="ENV")
        command.add_argument("host", metavar="HOST")
        command.set_defaults(act=_change, verb=verb)
        if verb == "on":
            command.add_argument("--no-wait", action="store_true", help="return as soon as it is booting")

    shell = commands.add_parser("shell", help="a shell on a host, or one command: one word is a shell line")
    shell.add_argument("environment", metavar="ENV")
    shell.add_argument("host", metavar="HOST")
    shell.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")
    shell.set_defaults(act=_shell)

    listing = commands.add_parser("list", help="environments, their hosts and what state they are in")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(act=_list)
    # Without a help text, so that it is not listed: `up` runs it.
    server = commands.add_parser(board.COMMAND)
    server.add_argument("directory", type=Path)
    server.set_defaults(act=_serve)
    return parser


def _image(options: argparse.Namespace) -> int:
    for path in images.build_image(options.release, tuple(options.layers)):
        print(path)
    return 0


def _up(options: argparse.Namespace) -> int:
    wanted = spec.read_spec(options.spec)
    with opened(spec.check_environment_name(options.environment)) as environment:
        outcome = environment.up(wanted)
        print(f"created={outcome.created} started={outcome.started} hosts={len(wanted.hosts)}")
        print(f"inventory: {outcome.inventory}")
    return 0


def _down(options: argparse.Namespace) -> int:
    with opened(spec.check_environment_name(options.environment)) as environment:
        print("removed" if environment.down() else "nothing to remove")
    return 0


def _change(options: argparse.Namespace) -> int:
    with opened(spec.check_environment_name(options.environment)) as environment:
        host = environment.host(options.host)
        acts = {
            "off": environment.off,
            "stop": environment.stop,
            "on": environment.on,
            "cut": environment.cut,
            "join": environment.join,
        }
        changed = acts[options.verb](host)
    # Not under the lock: a fence agent may have to cut another host's power while this one boots.
    if options.verb == "on" and not options.no_wait:
        environment.await_ready(host)
    print(f"{host.name}: {environment.state(host)}{'' if changed else ' (nothing to do)'}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    redfish.serve(options.directory)
    return 0


def _shell(options: argparse.Namespace) -> int:
    environment = Environment(spec.check_environment_name(options.environment))
    host = environment.host(options.host)
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    command = environment.ssh(host, "-o", "ConnectTimeout=10", *terminal)
    os.execvp(command[0], [*command, *([access.remote_command(words)] if words else [])])


def _list(options: argparse.Namespace) -> int:
    rows = [
        {
            "environment": environment.name,
            "host": host.name,
            "address": host.address,
            "state": environment.state(host),
            "image": "+".join((host.release, *host.layers)),
            "groups": list(host.groups),
            "port": host.port,
            "bridge": environment.bridge,
            "directory": str(environment.directory),
        }
        for environment in environments()
        for host in environment.hosts
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print("{environment:<24} {host:<20} {address:<14} {state:<4} {image}".format(**row))
    return 0
