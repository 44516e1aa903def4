// Numbers and times for people: short, with a fixed number of digits so that columns do not jump.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export const count = (value) => (value === undefined || value === null ? "–" : whole.format(value));

/** `950`, `12.3 k`, `4.56 M`. */
export function short(value) {
  if (value < 10 && value % 1) return value.toFixed(1);
  if (value < 10_000) return count(value);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return count(value);
}

export const rate = (value) => `${short(value)}/s`;

export function bytes(value) {
  if (value === undefined || value === null) return "–";
  if (value < 1024) return `${Math.round(value)} B`;
  const power = Math.min(4, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** power;
  return `${amount < 100 ? amount.toFixed(1) : Math.round(amount)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** Seconds as `83 µs`, `1.20 ms`, `2.5 s`. */
export function seconds(value) {
  if (value === undefined || value === null) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1e3).toPrecision(3)} ms`;
  return `${value.toFixed(1)} s`;
}

/** How long ago: `42 s`, `3 m 05 s`, `2 h 10 m`, `4 d 02 h`. */
export function age(since, now = Date.now()) {
  const total = Math.max(0, Math.floor((now - since) / 1000));
  const two = (number) => String(number).padStart(2, "0");
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} m ${two(total % 60)} s`;
  if (total < 86_400) return `${Math.floor(total / 3600)} h ${two(Math.floor((total % 3600) / 60))} m`;
  return `${Math.floor(total / 86_400)} d ${two(Math.floor((total % 86_400) / 3600))} h`;
}

export const time = (at) => `${clock.format(at)}.${String(at % 1000).padStart(3, "0")}`;

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A plugin's condition as `[word, tone]`; one out of service says why. */
export function condition(state) {
  if (typeof state === "object") return [`out of service: ${state.quarantined}`, "bad"];
  return [state, { running: "good", disabled: "off", stuck: "bad", stopped: "bad" }[state] ?? "warn"];
}
