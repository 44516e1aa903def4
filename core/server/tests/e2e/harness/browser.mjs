// A real Chromium on the demo pages of a hub, and whatever its pages complained about.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { tool } from "./process.mjs";

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

/** A browser that ends with the test. */
export async function launch(t) {
  const browser = await chromium.launch({ executablePath: tool("CHROMIUM"), args: FLAGS });
  t.after(() => browser.close());
  return browser;
}

/** `open(address)` gives a page of one browser context: tabs of a person, who share storage. */
export async function openPages(t, hub) {
  const browser = await launch(t);
  const context = await browser.newContext();
  const complaints = [];
  const open = async (address) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(`${address}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`${address}: ${message.text()}`);
    });
    const response = await page.goto(`${hub.url}${address}`);
    assert.equal(response.status(), 200, address);
    return page;
  };
  return { open, complaints };
}
