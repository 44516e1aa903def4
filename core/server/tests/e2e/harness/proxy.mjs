// A TCP proxy that fails on purpose: it cuts what runs through it, and can keep the server from noticing.

import { createServer, connect } from "node:net";
import { once } from "node:events";

export class Proxy {
  #server;
  #pairs = new Set();
  /** While true, whoever connects is turned away. */
  closed = false;
  /** Connections let through so far. */
  count = 0;

  static async start(t, url) {
    const target = new URL(url);
    const proxy = new Proxy();
    proxy.#server = createServer((client) => proxy.#pass(client, target));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.#server.address().port}`;
    t.after(() => {
      proxy.cut();
      proxy.#server.close();
    });
    return proxy;
  }

  #pass(client, { hostname, port }) {
    client.on("error", () => {});
    if (this.closed) return client.destroy();
    this.count += 1;
    const hub = connect(Number(port), hostname);
    hub.on("error", () => {});
    const pair = { client, hub };
    this.#pairs.add(pair);
    client.pipe(hub);
    hub.pipe(client);
    client.on("close", () => !pair.unnoticed && hub.destroy());
    hub.on("close", () => {
      client.destroy();
      this.#pairs.delete(pair);
    });
  }

  /** Breaks every connection, on both sides. */
  cut() {
    for (const { client, hub } of this.#pairs) {
      hub.destroy();
      client.destroy();
    }
    this.#pairs.clear();
  }

  /** Breaks every connection for the clients only: the hub sees a link that is silent and takes no more. */
  cutUnnoticed() {
    for (const pair of this.#pairs) {
      pair.unnoticed = true;
      pair.hub.unpipe();
      pair.hub.pause();
      pair.client.destroy();
    }
  }
}
