// The operators' console in a real Chromium: what it shows is what is, nothing leaves its origin, and it can be used
// with the keyboard alone.
// Needs: WebClient, Chromium, Nats.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { launch } from "./harness/browser.mjs";
import { startCluster } from "./harness/cluster.mjs";
import { connectClient, heard, newMeeting } from "./harness/client.mjs";
import { ECHO, MEETINGS, startHub } from "./harness/hub.mjs";
import { tool } from "./harness/process.mjs";
import { scratch } from "./harness/project.mjs";
import { mint } from "./harness/tokens.mjs";
import { until } from "./harness/wait.mjs";

const MANY = process.env.EXEDRA_SOAK ? 10_000 : 1_000;
const TOKEN = "e2e-admin-token-of-32-bytes-or-so";
/** Where the pictures go, when somebody wants to look at them. */
const PICTURES = process.env.EXEDRA_PICTURES;

/** A page of the console, and whatever was wrong with it: errors, refused resources, requests to elsewhere. */
async function openConsole(t, hub, { colorScheme = "light", hash = "" } = {}) {
  const browser = await launch(t);
  const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 800 } });
  const complaints = [];
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== hub.admin) complaints.push(`request to ${url}`);
    if (url.href.includes(TOKEN)) complaints.push(`the token is in ${url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && response.status() !== 401) complaints.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(`${hub.admin}/${hash}`);
  return { page, complaints };
}

async function picture(page, name) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`) });
}

/** Follows a link of the navigation; the view is there when the page is named after it. */
async function show(page, name) {
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  await until(async () => (await page.title()).startsWith(`${name} · `), { what: `the view ${name}` });
}

const seen = (locator) => locator.first().waitFor({ state: "visible", timeout: 15_000 });

/** Ann and Bob in a meeting. */
async function meeting(t, hub) {
  const id = await newMeeting(hub, mint("ann"), ["ann", "bob"]);
  const clients = {};
  for (const user of ["ann", "bob"]) {
    clients[user] = await connectClient(t, hub, { token: mint(user) });
    clients[user].emit("join_meeting", { meetingId: id });
    await heard(clients[user], "participants_updated");
  }
  return { id, ...clients };
}

test("each view shows what is", { timeout: 180_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  const { id, ann, bob } = await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub);
  await seen(page.locator(".tiles dd", { hasText: /^2$/ }));
  await seen(page.getByRole("img", { name: /^Events in the last minutes; now in / }));
  await seen(page.getByRole("row", { name: /^meetings running 1 2 / }));
  await until(() => page.locator("path.line").first().getAttribute("d"), { within: 15_000, what: "a line in the first chart" });

  await show(page, "Connections");
  await seen(page.getByRole("row", { name: /^ann Ann \/ 127\.0\.0\.1 / }));
  await page.getByLabel("Search").fill("bob");
  await until(async () => (await page.locator("tbody tr").count()) === 1, { what: "one row" });
  await seen(page.getByText("1 of 2 connections match"));
  await page.getByRole("link", { name: "bob" }).click();
  await seen(page.locator("dd", { hasText: bob.id }));

  await show(page, "Rooms");
  await page.getByRole("link", { name: new RegExp(id) }).click();
  await seen(page.getByRole("row", { name: /^ann 1 / }));
  ann.emit("join_meeting", { meetingId: id });
  await seen(page.getByRole("list", { name: "Events of this room" }).getByText("participants_updated"));

  await show(page, "Plugins");
  await page.getByRole("link", { name: "meetings" }).click();
  await seen(page.getByRole("row", { name: /^event \d+ / }));
  await seen(page.getByText("POST /meetings/{id}/join"));

  await show(page, "Configuration");
  await page.getByLabel("Search").fill("auth.secret");
  await seen(page.getByRole("row", { name: /auth\.secret set, not shown .*exedra\.toml:/ }));
  assert.ok(!(await page.content()).includes("e2e-only-secret"), "no secret is on the page");

  await show(page, "Health");
  await seen(page.getByRole("region", { name: "Bus" }).getByText("up"));
  await seen(page.getByRole("region", { name: "Store" }).getByText("redb", { exact: true }));
  await seen(page.getByRole("region", { name: "Cluster" }).getByText("alone", { exact: true }));
  assert.deepEqual(complaints, []);
});

test("health shows the other nodes", { timeout: 120_000 }, async (t) => {
  const { nats, hubs } = await startCluster(t, {}, { lease: "2s" });
  const { page } = await openConsole(t, hubs[0], { hash: "#/health" });
  const card = page.getByRole("region", { name: "Cluster" });
  await seen(card.getByText("3 nodes", { exact: true }));
  for (const name of ["n1", "Node n2", "Node n3"]) await seen(card.getByText(name, { exact: true }));
  await picture(page, "cluster");
  await hubs[2].kill();
  await seen(card.getByText("2 nodes", { exact: true }));
  assert.equal(await card.getByText("Node n3").count(), 0);
  await nats.kill();
  await seen(card.getByText("in trouble", { exact: true }));
  await seen(card.getByText("NATS is not connected"));
});

test("operator disconnects a client", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  const { ann, bob } = await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub, { hash: "#/connections" });
  await page.getByRole("button", { name: "Disconnect bob" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.ok(bob.connected, "cancelled is cancelled");
  await page.getByRole("button", { name: "Disconnect bob" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await until(() => bob.drops.length === 1, { what: "bob to be told" });
  assert.deepEqual(bob.drops, ["io server disconnect"]);
  await until(async () => (await page.locator("tbody tr").count()) === 1, { what: "bob's row to go" });
  assert.ok(ann.connected);
  assert.deepEqual(complaints, []);
});

test("tail shows a published event", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  const { id, ann } = await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub, { hash: "#/tail" });
  await seen(page.getByText("Watching", { exact: true }));
  await seen(page.getByText("Ready", { exact: true }));
  const other = await page.context().newPage();
  await other.goto(`${hub.admin}/#/publish`);
  await seen(other.locator("option", { hasText: "meetings" }).first().locator("xpath=.."));
  await other.getByLabel("Room").fill(id);
  await other.getByLabel("Event").fill("phase");
  await other.getByLabel("Payload").fill('{"phase":');
  await other.getByRole("button", { name: "Publish" }).click();
  await seen(other.getByText(/The payload is no JSON/));
  await other.getByLabel("Payload").fill('{"phase":"voting","status":"active"}');
  await other.getByRole("button", { name: "Publish" }).click();
  await seen(other.getByText(/^Accepted in \d+ ms$/));
  await until(() => ann.heard.some((one) => JSON.stringify(one.args).includes("voting")), { what: "ann to hear of it" });
  const line = page.getByRole("list", { name: "Events" }).getByRole("listitem").filter({ hasText: "bus → plugin" });
  await seen(line.filter({ hasText: '"phase":"voting"' }));

  await page.getByLabel("Direction").selectOption("dead_letter");
  await page.getByRole("button", { name: "Clear" }).click();
  await seen(page.getByText("Watching", { exact: true }));
  await other.getByLabel("Event").fill("nonsense");
  await other.getByRole("button", { name: "Publish" }).click();
  await seen(other.getByText(/^Refused: NOT_FOUND/));
  await seen(page.getByRole("listitem").filter({ hasText: "the plugin takes no event `nonsense`" }));
  const ways = await page.locator(".log li").evaluateAll((lines) => lines.map((one) => one.dataset.way));
  assert.deepEqual([...new Set(ways)], ["dead_letter"], "the filter holds");
  assert.deepEqual(complaints, []);
});

test("plugin goes off and on", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...MEETINGS, "plugins.hangouts": { enabled: true } });
  const { bob } = await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub, { hash: "#/plugins" });
  await page.getByRole("button", { name: "Disable meetings" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await seen(page.getByRole("row", { name: /^meetings disabled / }));
  await seen(page.getByRole("row", { name: /^hangouts running / }));
  await until(() => bob.drops.length === 1, { what: "bob to be told" });
  await page.getByRole("button", { name: "Enable meetings" }).click();
  await seen(page.getByRole("row", { name: /^meetings running / }));
  await connectClient(t, hub, { token: mint("bob") });
  assert.deepEqual(complaints, []);
});

test("plugin is reloaded from its page", { timeout: 120_000 }, async (t) => {
  const dir = scratch(t);
  const library = readFileSync(path.join(tool("EXEDRA_BIN_DIR"), "libmeetings.so"));
  const deploy = (bytes) => {
    writeFileSync(path.join(dir, "next"), bytes, { mode: 0o755 });
    renameSync(path.join(dir, "next"), path.join(dir, "libmeetings.so"));
  };
  deploy(library);
  const hub = await startHub(t, { ...MEETINGS, plugins: { dir } });
  const { bob } = await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub, { hash: "#/plugins/meetings" });
  const reload = async () => {
    await page.getByRole("button", { name: "Reload meetings" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  };
  await reload();
  await seen(page.getByText(/^meetings \d\S* is what runs already$/));
  deploy(Buffer.concat([library, Buffer.from("another build")]));
  await reload();
  await seen(page.getByText(/^meetings is \d\S*, generation 2; 0 connections closed$/));
  assert.deepEqual(complaints, []);
  deploy("no library");
  await reload();
  await seen(page.getByText(/is not an ELF shared library/));
  assert.deepEqual(bob.drops, []);
});

test("token is asked for and kept in the tab", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...MEETINGS, admin: { listen: "127.0.0.1:0", token: TOKEN } });
  const { page, complaints } = await openConsole(t, hub);
  const expected = complaints.length;
  await page.getByRole("textbox", { name: "Token" }).fill("wrong");
  await page.keyboard.press("Enter");
  await seen(page.getByText("That is not the token of this hub."));
  await page.getByRole("textbox", { name: "Token" }).fill(TOKEN);
  await page.keyboard.press("Enter");
  await seen(page.getByRole("row", { name: /^meetings running / }));
  await page.reload();
  await seen(page.getByRole("row", { name: /^meetings running / }));
  assert.equal(await page.getByRole("dialog").count(), 0, "it is not asked again");
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("e2e-admin")), false);
  // A browser reports each 401 by itself; nothing else may be said.
  assert.deepEqual(complaints.slice(expected).filter((text) => !text.includes("401")), []);
});

test("keyboard alone is enough", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub, { hash: "#/connections" });
  await seen(page.getByRole("button", { name: "Disconnect ann" }));
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    return { name: element.getAttribute("aria-label") ?? element.textContent.trim() ?? "", id: element.id, ring: style.outlineStyle !== "none" && style.outlineWidth !== "0px" };
  });
  const order = [];
  for (let step = 0; step < 30; step += 1) {
    await page.keyboard.press("Tab");
    const now = await focused();
    order.push(now.id || now.name);
    assert.ok(now.ring, `the focus is seen on ${JSON.stringify(now)}`);
    if (/^Disconnect /.test(now.name)) break;
  }
  assert.deepEqual(order.slice(0, 3), ["Skip to content", "Exedra", "Overview"]);
  const at = (name) => order.findIndex((one) => one.startsWith(name));
  assert.ok(at("theme") < at("search") && at("search") < at("Queue") && at("Queue") < at("Disconnect"), String(order));

  // The dialog takes the focus, Escape gives it back.
  await page.keyboard.press("Enter");
  await seen(page.getByRole("dialog"));
  assert.match((await focused()).name, /^Cancel$/);
  await page.keyboard.press("Escape");
  assert.match((await focused()).name, /^Disconnect /);

  // A refresh of the list does not take the focus away.
  await page.waitForResponse((response) => response.url().includes("/api/connections?"));
  await page.waitForResponse((response) => response.url().includes("/api/connections?"));
  assert.match((await focused()).name, /^Disconnect /);

  // Sorting with the keyboard, and said to screen readers.
  await page.getByRole("button", { name: "User" }).focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("th", { hasText: "User" }).getAttribute("aria-sort"), "ascending");
  await until(async () => /^ann/.test(await page.locator("tbody tr").first().innerText()), { what: "ann first" });

  // A link leads to a new heading, which has the focus.
  await page.getByRole("link", { name: "Rooms" }).focus();
  await page.keyboard.press("Enter");
  await seen(page.getByRole("heading", { level: 1, name: "Rooms" }));
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  assert.deepEqual(complaints, []);
});

test("screen readers find their way", { timeout: 180_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await meeting(t, hub);
  const { page, complaints } = await openConsole(t, hub);
  for (const name of ["Overview", "Connections", "Rooms", "Plugins", "Live tail", "Publish", "Configuration", "Health"]) {
    await show(page, name);
    await page.waitForLoadState("networkidle", { timeout: 2_000 }).catch(() => {}); // a tail never rests
    for (const landmark of ["banner", "navigation", "main"]) assert.equal(await page.getByRole(landmark).count(), 1, `${name}: ${landmark}`);
    assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1, name);
    assert.equal(await page.locator("nav [aria-current=page]").innerText(), name);
    const bad = await page.evaluate(() => {
      const shown = (element) => element.checkVisibility();
      const named = (element) => element.getAttribute("aria-label") || element.labels?.length || element.textContent.trim();
      const controls = [...document.querySelectorAll("main input, main select, main textarea, main button, main a, main svg[role=img]")];
      const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
      return [
        ...controls.filter((element) => shown(element) && !named(element)).map((element) => `no name: ${element.outerHTML}`),
        ...[...document.querySelectorAll("table")].filter((table) => !table.caption).map(() => "a table without a caption"),
        ...[...document.querySelectorAll("th")].filter((th) => th.scope !== "col" || !th.textContent.trim()).map((th) => th.outerHTML),
        ...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `twice: ${id}`),
        ...[...document.querySelectorAll("[style]")].map(() => "a style in the markup"),
      ];
    });
    assert.deepEqual(bad, [], name);
  }
  await show(page, "Connections");
  await page.getByLabel("Search").fill("ann");
  await until(async () => (await page.locator("#live").textContent()) === "1 connection found", { what: "the result to be said" });
  assert.equal(await page.locator("#live").getAttribute("aria-live"), "polite");
  assert.deepEqual(complaints, []);
});

/** The contrast of an element's text with what is behind it, as WCAG counts. */
const contrast = (page, selector) =>
  page.locator(selector).first().evaluate((element) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const light = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    const [one, two] = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)];
    return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  });

for (const colorScheme of ["light", "dark"]) {
  test(`${colorScheme} colours can be read`, { timeout: 120_000 }, async (t) => {
    const hub = await startHub(t, MEETINGS);
    await meeting(t, hub);
    const { page, complaints } = await openConsole(t, hub, { colorScheme });
    await seen(page.getByRole("row", { name: /^meetings running / }));
    await seen(page.locator(".state.good"));
    for (const part of ["h1", "nav a:not([aria-current])", ".tiles dt", ".tiles dd", "td a", ".badge", "th", ".note", ".state", "#theme", ".legend"]) {
      const ratio = await contrast(page, part);
      assert.ok(ratio >= 4.5, `${part} has a contrast of ${ratio.toFixed(2)}`);
    }
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await background();
    await picture(page, `overview-${colorScheme}`);
    const other = colorScheme === "light" ? "dark" : "light";
    const button = page.getByRole("button", { name: /^Colours/ });
    while (!(await button.innerText()).endsWith(other)) await button.click();
    assert.notEqual(await background(), before, "the choice changes the colours");
    await page.reload();
    assert.notEqual(await background(), before, "the choice stays");
    assert.deepEqual(complaints, []);
  });
}

test("many connections stay usable", { timeout: 300_000 }, async (t) => {
  const hub = await startHub(t, ECHO);
  for (let done = 0; done < MANY; done += 100) {
    await Promise.all(Array.from({ length: 100 }, () => connectClient(t, hub, { namespace: "/custom" })));
  }
  const { page, complaints } = await openConsole(t, hub);
  const spent = async (name, within, work) => {
    const began = performance.now();
    await work();
    const took = performance.now() - began;
    t.diagnostic(`${name}: ${took.toFixed(0)} ms with ${MANY} connections`);
    assert.ok(took < within, `${name} took ${took.toFixed(0)} ms`);
  };
  const total = new Intl.NumberFormat("en").format(MANY);
  await spent("a page of the API", 1_000, async () => {
    const { rows } = await (await fetch(`${hub.admin}/api/connections?sort=queue&limit=100`)).json();
    assert.equal(rows.length, 100);
  });
  await spent("opening the list", 5_000, async () => {
    await show(page, "Connections");
    await seen(page.getByText(`${total} connections`, { exact: true }));
    await seen(page.locator("tbody tr").nth(99));
  });
  const wanted = (await (await fetch(`${hub.admin}/api/connections?sort=age&order=asc&limit=1`)).json()).rows[0];
  await spent("finding one", 3_000, async () => {
    await page.getByLabel("Search").fill(wanted.publicId);
    await seen(page.getByText(`1 of ${total} connections match`));
    assert.equal(await page.locator("tbody tr").count(), 1);
  });
  await page.getByLabel("Search").fill("");
  await seen(page.getByText(`1–100 of ${total} connections`));
  await spent("the next page", 3_000, async () => {
    await page.getByRole("button", { name: "Next" }).click();
    await seen(page.getByText(`101–200 of ${total} connections`));
  });
  assert.equal(await page.locator("tbody tr").count(), 100, "the page holds what it shows");
  await picture(page, "many");
  assert.deepEqual(complaints, []);
});
