// Waiting for something to become true, with a deadline that says what was waited for.

const PACE = 10;

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Resolves with the first truthy value of `condition`; rejects when the time is up. */
export async function until(condition, { within = 5_000, what = "a condition" } = {}) {
  const deadline = performance.now() + within;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) {
      throw new Error(`waited ${within} ms for ${typeof what === "function" ? what() : what}`);
    }
    await pause(PACE);
  }
}

/** The promise's value, or a rejection that names what was late. */
export function inTime(promise, within, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${within} ms for ${what}`)), within);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
