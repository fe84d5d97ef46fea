"""The runbooks of a cluster are run: on one that is settled, on one whose fence does not answer, and on one without a quorum."""

from __future__ import annotations

from failover import Failover
from runbooks import Runbooks
from story import promise, wait_for

QUORUM = "q1"


def _encrypts(story: Failover) -> bool:
    return bool(story.server(story.servers[-1])["can_encrypt"])


def settled(story: Failover, book: Runbooks) -> None:
    """The master is moved, and the cluster forgets what failed."""
    story.settle()
    old = story.master()
    new = next(host for host in story.members if host != old)
    book.run("cluster", new)
    book.run("cluster", new, HOST=new)
    story.settle()
    promise(story.master() == new, f"{new} is the master")


def fencing_failed(story: Failover, book: Runbooks) -> None:
    """The other member is not promoted until somebody says that the lost one is off."""
    env, old = story.env, story.master()
    new = next(host for host in story.members if host != old)
    device = f"crm_resource --resource sso-fence-{old}"
    port = env.ssh(new, f"{device} --get-parameter ipport").strip()
    env.ssh(new, f"{device} --set-parameter ipport --parameter-value 1 2>&1")
    env.power("off", old)
    wait_for(lambda: "UNCLEAN" in env.ssh(new, "crm_mon --one-shot"), f"{old} is lost", 60)
    wait_for(lambda: not _encrypts(story), "nothing is encrypted", 30)
    book.run("cluster-fencing-failed", new)
    promise(story.server(new)["mastership"] == "passive", f"{new} is not promoted while nobody knows whether {old} is off")
    book.run("cluster-fencing-failed", new, HOST=old)
    wait_for(lambda: _encrypts(story), f"{new} is promoted", 90)
    promise(story.master() == new, f"{new} is the master")
    env.ssh(new, f"{device} --set-parameter ipport --parameter-value {port} 2>&1 && {device} --cleanup 2>&1")
    env.power("on", old)
    story.settle()


def no_quorum(story: Failover, book: Runbooks) -> None:
    """One of two members and the quorum device are lost: the other goes on when somebody says that it may."""
    env, left = story.env, story.master()
    lost = next(host for host in story.members if host != left)
    env.power("off", QUORUM)
    env.power("off", lost)
    wait_for(lambda: not _encrypts(story), "nothing is encrypted", 60)
    book.run("cluster-no-quorum", left)
    book.run("cluster-no-quorum", left)
    wait_for(lambda: _encrypts(story), f"{left} goes on alone", 90)
    env.power("on", QUORUM)
    # It was fenced, and by that switched on, if its fence answers.
    if not env.ssh(lost, "echo up", check=False):
        env.power("on", lost)
    book.run("cluster-no-quorum", left)
    story.settle()


def tell(story: Failover) -> None:
    book = Runbooks(story.env, "cluster")
    settled(story, book)
    fencing_failed(story, book)
    no_quorum(story, book)
    book.end()
