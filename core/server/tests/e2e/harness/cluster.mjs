// Several nodes on one nats-server, each a real hub with its own folder; and what tests do to them.

import { openClient } from "./client.mjs";
import { Hub } from "./hub.mjs";
import { startNats } from "./nats.mjs";
import { until } from "./wait.mjs";

/** The load tester's plugin: joins rooms, says things in them. */
export const BENCH = { "plugins.bench": { enabled: true } };

/** Nodes `n1`, `n2`, … that know each other; `sections` hold for all of them. */
export async function startCluster(t, sections, { nodes = 3, nats, lease = "5s", url } = {}) {
  const server = nats ?? (await startNats(t));
  const hubs = [];
  for (let at = 1; at <= nodes; at += 1) {
    const hub = new Hub(node(sections, `n${at}`, (url ?? (() => server.url))(at), lease));
    t.after(() => hub.stop());
    hubs.push(hub);
  }
  await Promise.all(hubs.map((hub) => hub.start()));
  await until(async () => (await Promise.all(hubs.map(others))).every((count) => count === nodes - 1), {
    within: 10_000,
    what: "the nodes to know each other",
  });
  return { nats: server, hubs };
}

/** The configuration of one node. */
export const node = (sections, name, url, lease) => ({
  ...sections,
  nats: { url, ...sections.nats },
  cluster: { enabled: true, node: name, lease, ...sections.cluster },
});

/** How many other nodes a node knows. */
export async function others(hub) {
  const health = await (await fetch(`${hub.admin}/api/health`)).json();
  return health.cluster.nodes.filter((one) => one.known).length;
}

/** A client of the bench plugin in a room; it notes what is said as numbers. */
export async function member(t, hub, token, room, options = {}) {
  const socket = openClient(t, hub, { token, namespace: "/bench", ...options });
  socket.said = [];
  socket.on("tick", (text) => socket.said.push(text));
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  await socket.emitWithAck("join", { room });
  return socket;
}

/** Says something in a room; resolves with the acknowledgement. */
export const say = (socket, room, payload) => socket.timeout(10_000).emitWithAck("publish", { room, payload });

/** A store that all nodes share; whether it writes durably is another test's business. */
export const SHARED = { store: { kind: "jetstream", durability: "any" } };
