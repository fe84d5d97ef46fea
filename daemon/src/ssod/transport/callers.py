"""From a peer to a caller: a uid to its user and Unix groups, a certificate to its name."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable

from ssod.core.access import Caller
from ssod.errors import UnknownCaller
from ssod.service.ports import Clock
from ssod.transport.protocol import LoopbackPeer, Peer, TlsPeer, UnixPeer

# A change of a user's groups counts within this many seconds.
FRESH_SECONDS = 5.0
# Whoever the kernel does not name: nothing can be granted to such a one.
NOBODY = Caller("somebody on this host", frozenset())


class Callers:
    def __init__(self, clock: Clock, refuse_revoked: Callable[[str], None]) -> None:
        """`refuse_revoked` is asked at each request with the hash of a certificate's public key."""
        self._clock = clock
        self._refuse_revoked = refuse_revoked
        self._known: dict[UnixPeer | LoopbackPeer, tuple[float, Caller]] = {}

    def of(self, peer: Peer) -> Caller:
        """Raises UnknownCaller for a uid without a name, or a certificate without one; CertificateRevoked."""
        if isinstance(peer, TlsPeer):
            self._refuse_revoked(peer.key)
            if peer.name is None:
                raise UnknownCaller("the certificate has no DNS name", next_step="issue one with a name")
            return Caller(f"certificate:{peer.name}", frozenset({f"certificate:{peer.name}"}))
        now = self._clock.monotonic()
        known = self._known.get(peer)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        caller = self._look_up(peer.uid, peer.gid if isinstance(peer, UnixPeer) else None)
        self._known[peer] = (now, caller)
        return caller

    @staticmethod
    def _look_up(uid: int | None, gid: int | None) -> Caller:
        """`gid` is None where only the user is known: the group is the user's own then."""
        if uid is None:
            return NOBODY
        try:
            user = pwd.getpwuid(uid)
        except KeyError:
            raise UnknownCaller(f"uid {uid} has no name on this host", next_step="call as a user that this host knows") from None
        principals = {f"user:{user.pw_name}"}
        for group in {*os.getgrouplist(user.pw_name, user.pw_gid if gid is None else gid)}:
            try:
                principals.add(f"group:{grp.getgrgid(group).gr_name}")
            except KeyError:
                continue  # a group without a name cannot have been granted anything
        return Caller(f"user:{user.pw_name}", frozenset(principals))
