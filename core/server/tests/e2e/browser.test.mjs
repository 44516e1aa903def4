// Two tabs of a real Chromium on the meetings demo: they see each other come, vote and go.
// Needs: WebClient, Chromium.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openPages } from "./harness/browser.mjs";
import { DEMO, startHub } from "./harness/hub.mjs";
import { until } from "./harness/wait.mjs";

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
  const { open, complaints } = await openPages(t, await startHub(t, DEMO));
  const ann = await open("/meetings/?user=ann");
  if (!(await present(ann)).includes("ann")) await part(ann, "join").click();
  await sees(ann, ["ann"]);
  const field = part(ann, "meeting-id");
  const meeting = (await field.evaluate((element) => element.value ?? element.textContent)).trim();
  assert.ok(meeting.length > 0, "the page shows its meeting");
  const bob = await open(`/meetings/?user=bob&meeting=${encodeURIComponent(meeting)}`);
  if (!(await present(bob)).includes("bob")) await part(bob, "join").click();
  return { ann, bob, complaints };
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
  const { open, complaints } = await openPages(t, await startHub(t, DEMO));
  const index = await open("/");
  const links = await index.locator("a[href]").evaluateAll((anchors) => anchors.map((anchor) => anchor.href));
  assert.ok(links.some((link) => new URL(link).pathname.startsWith("/meetings/")), String(links));
  assert.deepEqual(complaints, []);
});
