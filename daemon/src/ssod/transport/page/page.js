"use strict";
// Shows what GET /v1/page answers, asked again every two seconds. What comes from there is text, never markup.

// A server waits ten seconds for a database that is silent, and then says so: that is not its own silence.
const PAUSE = 2000, PATIENCE = 12000;
const SIGNS = { well: "\u2714", warning: "!", alarm: "\u2716" };
const STATES = {
  attached: ["well", "attached"], behind: ["warning", "behind"], detached: ["alarm", "detached"], lost: ["alarm", "not reached"],
  silent: ["warning", "silent"], starting: ["warning", "starting"], unknown: ["warning", "never heard of"],
};
const $ = (id) => document.getElementById(id);
let skew = 0, answered = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Replaces what is inside only when it has changed: a selection, a focus and a screen reader are left alone.
function fill(target, key, children) {
  if (target.dataset.shown === key) return;
  target.dataset.shown = key;
  target.replaceChildren(...children());
}

function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
  target.hidden = text === "";
}

// The server's clock is the one that counts: that of a phone may be wrong.
const now = () => Date.now() + skew;
const clock = (time) => time.replace("T", " ").replace("Z", " UTC");

function age(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function moment(time, before = "") {
  const span = element("span", before);
  const made = element("time", clock(time));
  made.dateTime = time;
  const old = element("span");
  old.dataset.since = time;
  span.append(made, " ", old);
  return span;
}

function tick() {
  for (const each of document.querySelectorAll("[data-since]"))
    each.textContent = `(${age(now() - Date.parse(each.dataset.since))} ago)`;
}

// [name, text or node]; what is null is left out.
function facts(target, rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined);
  // A node is new here, and its age not written yet.
  fill(target, JSON.stringify(shown.map(([name, value]) => [name, value.textContent ?? value])), () =>
    shown.flatMap(([name, value]) => {
      const cell = element("dd");
      cell.append(value);
      return [element("dt", name), cell];
    }));
}

function table(target, columns, rows, cellsOf) {
  fill(target.tHead, columns.join(), () => {
    const row = element("tr");
    row.setAttribute("role", "row");
    for (const column of columns) {
      const head = element("th", column);
      head.scope = "col";
      head.setAttribute("role", "columnheader");
      row.append(head);
    }
    return [row];
  });
  fill(target.tBodies[0], JSON.stringify(rows), () => rows.map((each) => {
    const row = element("tr");
    row.setAttribute("role", "row");
    cellsOf(each).forEach((content, number) => {
      const cell = element("td");
      cell.setAttribute("role", "cell");
      if (number > 0) cell.dataset.name = columns[number];
      cell.append(content ?? "-");
      row.append(cell);
    });
    return row;
  }));
  target.hidden = rows.length === 0;
}

function sign(state) {
  const [level, word] = STATES[state];
  return element("span", `${SIGNS[level]} ${word}`, level);
}

// The whole id of the current one stands above the table.
function compared(key, current) {
  if (key === null) return "none";
  return key === current ? "current" : element("span", `NOT the current one: ${key}`, "key");
}

function showState(page) {
  const server = page.status.server, level = page.level;
  const word = server.state !== "attached" ? server.state :
    level === "alarm" ? (server.can_decrypt ? "attached, not encrypting" : "attached, without a keyring") : "attached";
  $("state").hidden = false;
  $("state").className = `box ${level}`;
  say($("name"), server.name);
  say($("word"), `${SIGNS[level]} ${word.toUpperCase()}`);
  say($("sentence"), server.sentence);
  say($("next"), page.next === null ? "" : `What to do: ${page.next}`);
  // A name that is more than a host's name has no place in a line for a shell.
  const commands = page.candidates.filter((name) => /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name))
    .map((name) => `ansible-playbook holdfast.sso.promote_master -i INVENTORY -e sso_new_master=${name}`);
  fill($("commands"), commands.join(), () => commands.map(commandLine));
  $("commands").hidden = commands.length === 0;
  fill($("concerns"), JSON.stringify(page.concerns), () => page.concerns.map((each) => element("li", each)));
  $("concerns-box").hidden = page.concerns.length === 0;
  announce(level, `${word} \u00b7 ${server.name}`);
}

function commandLine(command) {
  const line = element("li"), code = element("code", command), button = element("button", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
  });
  line.append(code, button);
  return line;
}

// The tab tells the worst: by a sign in its title, and by a shape and its sign in its icon.
function announce(level, words) {
  const title = `${SIGNS[level]} ${words} \u00b7 Holdfast`;
  if (document.title === title) return;
  document.title = title;
  const [shape, colour] = {
    well: ["<circle cx='8' cy='8' r='8'", "%230a7a38"],
    warning: ["<path d='M8 0 16 16H0z'", "%23b37400"],
    alarm: ["<rect width='16' height='16'", "%23c4001d"],
  }[level];
  const drawn = `${shape} fill='${colour}'/><text x='8' y='13' font-size='12' text-anchor='middle' fill='white'>${SIGNS[level]}</text>`;
  $("icon").href = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>${drawn}</svg>`;
}

function showEnvironment(page) {
  const { status, remembered } = page, known = status.environment ?? remembered?.environment;
  say($("remembered"), remembered ?
    `The SSO database does not answer. This is what this server last read in it, at ${clock(remembered.at)}.` : "");
  if (!known) {
    facts($("environment"), [["environment", "not known: this server has not reached the SSO database since it started"]]);
    return;
  }
  const backup = known.backup_verified_at;
  facts($("environment"), [
    ["master", known.master ?? "none"],
    [known.master ? "master since" : "without one since", known.epoch_since ? moment(known.epoch_since) : "before it was noted"],
    ["epoch", String(known.epoch)],
    ["current key id", known.current_key_id ?? "none: there is no master secret yet"],
    ["backup", backup ? moment(backup, `verified, at ${known.backup_place || "an unnamed place"}: `) : `${SIGNS.warning} none verified`],
    ["SSO", known.disabled_at ? moment(known.disabled_at, `${SIGNS.warning} disabled everywhere since `) : "enabled"],
    ["environment", known.id],
  ]);
}

function showServers(page) {
  const current = (page.status.environment ?? page.remembered?.environment)?.current_key_id;
  const records = new Map((page.status.servers ?? page.remembered?.servers ?? []).map((each) => [each.name, each]));
  const rows = page.standings.filter((each) => records.has(each.name))
    .map((each) => ({ ...each, ...pick(records.get(each.name)), current }));
  table($("servers"), ["server", "state", "since, or as of", "why", "key id", "sealed copy", "epoch", "version"], rows, (each) => [
    nameOf(each, page.status.server.name), sign(each.state), each.since ? moment(each.since) : "never", each.reason,
    compared(each.key_id, current), compared(each.sealed_key_id, current), String(each.epoch ?? "-"), each.version,
  ]);
}

const pick = ({ key_id, sealed_key_id, epoch, version }) => ({ key_id, sealed_key_id, epoch, version });

function nameOf(each, mine) {
  const cell = element("span");
  cell.append(element("strong", each.name), ` ${each.position}${each.name === mine ? ", this one" : ""}`);
  return cell;
}

function showServer(page) {
  const { server, database } = page.status, certificate = server.certificate;
  const left = certificate.days_left < 0 ? `${SIGNS.alarm} EXPIRED` : `${certificate.days_left} days left`;
  const others = server.held_key_ids.filter((each) => each !== server.key_id);
  facts($("server"), [
    ["encrypts", server.can_encrypt ? `${SIGNS.well} yes` : `${SIGNS.alarm} no`],
    ["decrypts", server.can_decrypt ? `${SIGNS.well} yes` : `${SIGNS.alarm} no`],
    ["mastership", `${server.mastership}, managed by ${server.managed_by}`],
    ["epoch", String(server.epoch)],
    ["key id", server.key_id ?? "none"],
    ["older key ids", others.length ? others.join(", ") : null],
    ["sealed copy", server.sealed_key_id],
    ["sealing", server.sealing.problem && `${SIGNS.alarm} ${server.sealing.problem}`],
    ["not fit as master", server.unfit.length ? `${SIGNS.warning} ${server.unfit.join("; ")}` : null],
    ["certificate", `until ${clock(server.certificate_expires_at)}, ${left}${certificate.revoked ? ", REVOKED" : ""}`],
    ["database", `${database.kind}, ${database.reachable ? "reachable" : `${SIGNS.alarm} NOT reachable: ${database.detail ?? "not asked yet"}`}`],
    ["ssod", server.version],
  ]);
}

function showActs(page) {
  const { acts, reader } = page;
  say($("acts-note"), acts === null ? `Shown to those who may read the audit log. ${reader.refusal}.` : acts.length ? "" : "None yet.");
  table($("acts"), ["time", "caller", "act", "object", "outcome"], acts ?? [], (each) =>
    [moment(each.time), each.caller, each.act, each.object || "-", each.outcome]);
  say($("reader"), `Read-only. You are ${reader.name}. Asked again every ${PAUSE / 1000} s; it loads nothing from anywhere else.`);
}

function show(page) {
  skew = Date.parse(page.now) - Date.now();
  for (const part of [showState, showEnvironment, showServers, showServer, showActs]) part(page);
}

function showFailure(reason) {
  const opened = answered === null, since = opened ? "" : new Date(answered + skew).toISOString().slice(0, 19) + "Z";
  fill($("lost"), since + reason, () => {
    const when = opened ? "this page was opened" : moment(since);
    // The age goes on, and a screen reader need not say so every second.
    if (!opened) when.lastChild.ariaHidden = "true";
    return [`${SIGNS.alarm} No answer from this server since `, when, `. ${reason}${opened ? "" : " What is below is what it last said."}`];
  });
  $("lost").hidden = false;
  document.body.classList.toggle("stale", !opened);
  announce("alarm", `no answer \u00b7 ${$("name").textContent || location.host}`);
}

// What is answered, or why there is none, as a sentence.
async function question() {
  try {
    const answer = await fetch("/v1/page", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const said = await answer.json();
    if (answer.ok) return [said, null];
    return [null, `It refuses: ${said.detail}.${said.next ? ` What to do: ${said.next}.` : ""}`];
  } catch (error) {
    return [null, error.name === "TimeoutError" ? `It is silent for ${PATIENCE / 1000} s.` : "It cannot be reached."];
  }
}

async function ask() {
  const [page, reason] = await question();
  setTimeout(ask, PAUSE);
  if (page === null) {
    showFailure(reason);
  } else {
    show(page);
    answered = Date.now();
    $("lost").hidden = true;
    document.body.classList.remove("stale");
  }
  tick();
}

setInterval(tick, 1000);
ask();
