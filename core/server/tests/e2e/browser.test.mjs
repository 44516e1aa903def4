// Two tabs of a real Chromium on the meetings demo: they see each other come, vote and go.

import assert from "node:assert/strict";
import { test } from "node:test";

import { chromium } from "playwright-core";

import { DEMO, startHub } from "./harness/hub.mjs";
import { tool } from "./harness/process.mjs";
import { until } from "./harness/wait.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

/** A hub with demo pages, a browser, and whatever its pages complained about. */
async function scene(t) {
  const hub = await startHub(t, DEMO);
  const browser = await chromium.launch({ executablePath: tool("CHROMIUM"), args: FLAGS });
  t.after(() => browser.close());
  const complaints = [];
  /** Opens a page; tabs of one context share storage, as a person's tabs do. */
  const open = async (context, address) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(`${address}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`${address}: ${message.text()}`);
    });
    const response = await page.goto(`${hub.url}${address}`);
    assert.equal(response.status(), 200, address);
    return page;
  };
  return { hub, browser, open, complaints };
}

const part = (page, id) => page.getByTestId(id);

/** The user ids in the page's participant list. */
const present = (page) =>
  part(page, "participants").locator("li[data-user]").evaluateAll((items) => items.map((item) => item.dataset.user).sort());

const sees = (page, people) =>
  until(async () => String(await present(page)) === String(people), {
    within: 10_000,
    what: () => `a page to show ${people}`,
  }).catch(async (error) => {
    throw new Error(`${error.message}; it shows ${await present(page)}; its log: ${await part(page, "log").innerText()}`);
  });

const text = (page, id) => part(page, id).innerText();

const changes = async (page, id, before) => {
  await until(async () => (await text(page, id)) !== before, { within: 10_000, what: `${id} to change from ${before}` });
  return text(page, id);
};

/** Ann and Bob in one meeting, each in a tab of their own. */
async function twoTabs(t) {
  const { hub, browser, open, complaints } = await scene(t);
  const context = await browser.newContext();
  const ann = await open(context, "/meetings/?user=ann");
  if (!(await present(ann)).includes("ann")) await part(ann, "join").click();
  await sees(ann, ["ann"]);
  const field = part(ann, "meeting-id");
  const meeting = (await field.evaluate((element) => element.value ?? element.textContent)).trim();
  assert.ok(meeting.length > 0, "the page shows its meeting");
  const bob = await open(context, `/meetings/?user=bob&meeting=${encodeURIComponent(meeting)}`);
  if (!(await present(bob)).includes("bob")) await part(bob, "join").click();
  return { hub, context, ann, bob, meeting, complaints };
}

test("tabs see each other come", { timeout: 120_000 }, async (t) => {
  const { ann, bob, complaints } = await twoTabs(t);
  await sees(ann, ["ann", "bob"]);
  await sees(bob, ["ann", "bob"]);
  assert.deepEqual(complaints, []);
});

test("tabs see each other vote", { timeout: 120_000 }, async (t) => {
  const { ann, bob, complaints } = await twoTabs(t);
  await sees(bob, ["ann", "bob"]);
  await sees(ann, ["ann", "bob"]);
  const before = await text(bob, "progress");
  await part(ann, "vote-submit").click();
  const halfway = await changes(bob, "progress", before);
  await changes(ann, "progress", before);
  await part(bob, "vote-submit").click();
  await changes(ann, "progress", halfway);
  assert.match(await text(ann, "progress"), /100\s*%|2\s*(\/|of)\s*2/);
  assert.deepEqual(complaints, []);
});

test("phase changes in both tabs", { timeout: 120_000 }, async (t) => {
  const { ann, bob, complaints } = await twoTabs(t);
  await sees(bob, ["ann", "bob"]);
  const [phaseOfAnn, phaseOfBob] = [await text(ann, "phase"), await text(bob, "phase")];
  await part(ann, "phase-next").click();
  const phase = await changes(bob, "phase", phaseOfBob);
  assert.equal(await changes(ann, "phase", phaseOfAnn), phase);
  assert.deepEqual(complaints, []);
});

test("tabs see each other go", { timeout: 120_000 }, async (t) => {
  const { ann, bob, complaints } = await twoTabs(t);
  await sees(ann, ["ann", "bob"]);
  await part(bob, "leave").click();
  await sees(ann, ["ann"]);
  await part(bob, "join").click();
  await sees(ann, ["ann", "bob"]);
  await bob.close();
  await sees(ann, ["ann"]);
  assert.deepEqual(complaints, []);
});

test("index leads to the demo", { timeout: 120_000 }, async (t) => {
  const { browser, open, complaints } = await scene(t);
  const index = await open(await browser.newContext(), "/");
  const links = await index.locator("a[href]").evaluateAll((anchors) => anchors.map((anchor) => anchor.href));
  assert.ok(links.some((link) => new URL(link).pathname.startsWith("/meetings/")), String(links));
  assert.deepEqual(complaints, []);
});
