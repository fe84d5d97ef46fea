"""What a person sees of a healthy environment, of one whose master is killed, and of one whose standby is promoted."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from edge import Files
from looking import PHONE, View
from paged import Make, at
from playwright.sync_api import expect
from postgres import Postgres
from servers import Fleet

Look = Callable[..., View]


def test_a_healthy_environment_is_seen_at_a_glance(healthy: Fleet, look: Look) -> None:
    """Who is master and since when, epoch and key ids, each server, ages of backup and certificate, the last acts."""
    m1, s1 = healthy["m1"], healthy["s1"]
    view = look(at(s1))
    view.title_begins("\u2714 attached \u00b7 s1")
    assert str(view.page.get_attribute("#icon", "href")).startswith("data:image/svg+xml,")
    status = s1.ok("GET", "/v1/status")
    view.shows("#sentence", status["server"]["sentence"])
    environment = view.page.inner_text("#environment")
    assert re.search(r"master\s+m1\s+master since\s+\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(\d+ s ago\)\s+epoch\s+1", environment)
    assert status["environment"]["current_key_id"] in environment
    assert re.search(r"backup\s+verified, at test: .* ago\)", environment)
    assert re.search(r"certificate\s+until .* UTC, 399 days left", view.page.inner_text("#server"))
    for name, position in (("m1", "master"), ("m2", "standby"), ("s1", "server, this one")):
        assert re.search(rf"{name}\s+{position}\s+\u2714 attached\s", view.row(name))
    assert not view.page.is_visible("#commands")
    ticking = view.page.locator("#environment [data-since]").first
    expect(ticking).not_to_have_text(ticking.inner_text())
    assert any(re.search(r"UTC \(\d+ s ago\)\s+user:root\s+enrol server\s+s1\s+allowed", act) for act in view.acts())
    m1.ok("PUT", "/v1/servers/s9", {"address": "localhost:1"})
    view.shows("#concerns", "s9 is unknown: it has never said how it is")
    view.title_begins("! attached")
    m1.ok("DELETE", "/v1/servers/s9")
    view.title_begins("\u2714 attached")


def test_a_dead_master_and_a_promotion_are_seen_without_a_touch(fleet: Make, look: Look) -> None:
    """The page of another server turns by itself, says what works and what to do, and turns back when that is done."""
    ready = fleet("m1", "m2", "s1")
    m1, m2, s1 = ready.servers
    view, phone = look(at(s1)), look(at(s1), **PHONE, color_scheme="dark")
    view.title_begins("\u2714 attached")
    view.picture("healthy")

    m1.stop(signal.SIGKILL)
    view.shows("#word", "\u2716 DETACHED")
    view.title_begins("\u2716 detached \u00b7 s1")
    said = view.shows("#sentence", "detached: master m1 not seen for ").inner_text()
    assert "decrypting from cache, refusing to encrypt" in said
    view.shows("#commands code", "ansible-playbook holdfast.sso.promote_master -i INVENTORY -e sso_new_master=m2")
    expect(view.page.locator("#servers tbody tr").nth(1)).to_contain_text("detached")
    assert "\u2716 not reached" in view.row("m1")
    assert "this server does not reach it: m1 (127.0.0.1:" in view.row("m1")
    phone.shows("#word", "DETACHED")
    assert not phone.scrolls_sideways
    view.picture("detached")
    phone.picture("detached-phone")

    assert m2.ok("POST", "/v1/master/activate", {"expected_epoch": 1})["epoch"] == 2
    view.shows("#word", "ATTACHED")
    assert re.search(r"master\s+m2\s+master since\s+.* \(\d+ s ago\)\s+epoch\s+2", view.page.inner_text("#environment"))
    view.shows("#concerns", "m1 is behind: it last said that it follows epoch 1, and this is epoch 2")
    expect(view.page.locator("#servers tbody tr").nth(1)).to_contain_text("attached")
    assert not view.page.is_visible("#commands")
    view.picture("promoted")


def test_a_server_that_died_is_said_to_and_what_it_said_is_greyed(fleet: Make, look: Look) -> None:
    """Loudly, with since when; and when it is back, the page is."""
    m1 = fleet("m1").servers[0]
    view = look(at(m1))
    view.outage = True
    view.title_begins("\u2714 attached")
    m1.stop(signal.SIGKILL)
    view.shows("#lost", "No answer from this server since ")
    view.shows("#lost", "What is below is what it last said.")
    view.title_begins("\u2716 no answer \u00b7 m1")
    assert view.page.locator("body.stale").count() == 1
    assert "attached: this server is the master" in view.page.inner_text("#sentence")
    m1.start()
    view.title_begins("\u2714 attached")
    assert not view.page.is_visible("#lost")
    assert view.page.locator("body.stale").count() == 0


def test_a_server_that_is_frozen_is_said_to_be_silent(fleet: Make, look: Look) -> None:
    """It takes connections and answers nothing: a page must not pass what it had off as the present."""
    m1 = fleet("m1").servers[0]
    view = look(at(m1))
    view.title_begins("\u2714 attached")
    m1.send(signal.SIGSTOP)
    view.shows("#lost", "It is silent for 12 s.")
    m1.send(signal.SIGCONT)
    view.title_begins("\u2714 attached")


@pytest.mark.parametrize(("lose", "bring_back"), [("stop", "start"), ("freeze", "thaw")])
def test_without_the_database_the_page_shows_what_was_last_known(
    fleet: Make, look: Look, own_postgres: Postgres, lose: str, bring_back: str
) -> None:
    """And says so, with the time; also where the database refuses nothing and answers nothing."""
    m1, s1 = fleet("m1", "s1", on=own_postgres).servers
    view = look(at(s1))
    view.title_begins("\u2714 attached")
    getattr(own_postgres, lose)()
    view.shows("#remembered", "The SSO database does not answer. This is what this server last read in it, at ")
    view.shows("#concerns", "the SSO database cannot be reached")
    assert not view.page.is_visible("#lost")
    assert "m1" in view.page.inner_text("#environment")
    assert "master" in view.row("m1")
    getattr(own_postgres, bring_back)()
    view.title_begins("\u2714 attached")
    assert not view.page.is_visible("#remembered")
    assert m1.status()["state"] == "attached"


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_scrolls_sideways(healthy: Fleet, look: Look, width: int) -> None:
    """On a phone a server is a card; its parts still say what they are."""
    view = look(at(healthy["m2"]), viewport={"width": width, "height": 740})
    view.title_begins("\u2714 attached")
    assert not view.scrolls_sideways
    assert view.page.get_by_role("table", name="Servers").get_by_role("row").count() == 4
    assert view.page.get_by_role("columnheader", name="state").count() == 1
    shown = view.page.locator("#servers tbody td").nth(1)
    before = shown.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert (before != "none") == (width < 800)


def test_light_and_dark_are_two_schemes_and_both_can_be_read(healthy: Fleet, look: Look) -> None:
    """As the browser asks; by WCAG, text of this size needs a contrast of 4.5."""
    grounds = set()
    for scheme in ("light", "dark"):
        view = look(at(healthy["s1"]), color_scheme=scheme)
        view.title_begins("\u2714 attached")
        grounds.add(view.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for level in ("well", "warning", "alarm"):
            view.page.evaluate("level => { document.getElementById('state').className = `box ${level}`; }", level)
            for selector in ("#word", "#sentence", "dt", "dd", "th", "td", "td span.well", ".note, footer p"):
                assert view.contrast(selector) >= 4.5, (scheme, level, selector)
    assert len(grounds) == 2


def test_what_stands_in_a_name_is_text(healthy: Fleet, look: Look, issued: Callable[..., Files]) -> None:
    """Of a caller, and of what it asked for: shown as they are written, run by nobody."""
    m1 = healthy["m1"]
    name = "<img src=x onerror=alert(1)>"
    assert m1.call("GET", "/v1/secret", files=issued(name))[0] == 403
    body = {"external_id": "x", "credentials": {}}
    m1.ok("PUT", "/v1/applications/people", {"type": "individual", "fields": [{"name": "pin"}], "users": ["group:root"]})
    m1.call("PUT", "/v1/applications/people/mappings/user:%3Cscript%3Ealert(2)%3C%2Fscript%3E", body)
    view = look(at(m1))
    dialogs: list[str] = []
    view.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    view.shows("#acts td", f"certificate:{name}")
    view.shows("#acts td", "<script>alert(2)</script>")
    assert view.page.locator("img").count() == 0
    assert view.page.locator("script").count() == 1
    assert dialogs == []


def test_the_policy_stops_what_the_page_does_not_do(healthy: Fleet, look: Look) -> None:
    """No other script, no markup made of a string, no request to another place, and no frame around it."""
    view = look(at(healthy["m2"]))
    view.title_begins("\u2714 attached")
    policy = view.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert view.headers["cache-control"] == "no-store"
    assert view.headers["x-frame-options"] == "DENY"
    assert view.page.evaluate("try { document.body.innerHTML = '<b>x</b>'; 'markup' } catch (error) { error.name }") == "TypeError"
    assert view.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'sent', (error) => error.name)") == "TypeError"
    added = "document.createElement('a').setAttribute('onclick', 'alert(1)'); 'set'"
    assert view.page.evaluate(f"try {{ {added} }} catch (error) {{ error.name }}") == "TypeError"
    assert "Content Security Policy" in " ".join(view.complaints)  # the browser has said what it stopped
    view.complaints.clear()


def test_the_command_can_be_copied(healthy: Fleet, look: Look) -> None:
    """By a button that says that it did; a script of the page's own makes it, as no master is dead here."""
    view = look(at(healthy["m2"]), permissions=["clipboard-read", "clipboard-write"])
    view.title_begins("\u2714 attached")
    view.page.evaluate("document.getElementById('commands').append(commandLine('run this')); $('commands').hidden = false")
    view.page.get_by_role("button", name="Copy").click()
    view.shows("button", "Copied")
    assert view.page.evaluate("navigator.clipboard.readText()") == "run this"
