// A TCP load balancer, as small as can be: each connection goes to the next hub in turn that takes it.

import { connect, createServer } from "node:net";
import { once } from "node:events";

export class Balancer {
  #server;
  #turn = 0;
  #open = new Set();
  /** Hubs by address; those in `out` get no new connections. */
  out = new Set();

  static async start(t, hubs) {
    const balancer = new Balancer();
    balancer.hubs = hubs;
    balancer.#server = createServer((client) => balancer.#pass(client, hubs.length));
    balancer.#server.listen(0, "127.0.0.1");
    await once(balancer.#server, "listening");
    balancer.url = `http://127.0.0.1:${balancer.#server.address().port}`;
    t.after(() => {
      for (const socket of balancer.#open) socket.destroy();
      balancer.#server.close();
    });
    return balancer;
  }

  #pass(client, tries) {
    client.on("error", () => {});
    if (tries === 0) return client.destroy();
    const hub = this.hubs[this.#turn++ % this.hubs.length];
    if (this.out.has(hub)) return this.#pass(client, tries - 1);
    client.pause();
    const target = connect(Number(new URL(hub.url).port), "127.0.0.1");
    target.once("error", () => (target.passed ? client.destroy() : this.#pass(client, tries - 1)));
    target.once("connect", () => {
      target.passed = true;
      for (const socket of [client, target]) this.#open.add(socket);
      client.pipe(target);
      target.pipe(client);
      client.resume();
      client.once("close", () => this.#end(target));
      target.once("close", () => this.#end(client));
    });
  }

  #end(socket) {
    this.#open.delete(socket);
    socket.destroy();
  }
}
