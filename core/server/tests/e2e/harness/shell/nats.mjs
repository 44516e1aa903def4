#!/usr/bin/env node
// The words of the `nats` command that the documents use. The command itself cannot be installed from a package registry:
// here the same subject and the same bytes go to the same server, and an error in the answer is an error.

import { connect } from "nats";

const [verb, subject, body] = process.argv.slice(2);
const bus = await connect({ servers: process.env.NATS_URL });
if (verb === "pub") bus.publish(subject, body);
else if (verb === "subscribe") bus.subscribe(subject);
else if (verb === "request") {
  const answer = (await bus.request(subject, body ?? "", { timeout: 5_000 })).string();
  console.log(answer);
  if (JSON.parse(answer)?.error) process.exitCode = 1;
} else throw new Error(`nats ${verb} is not known here`);
await bus.drain();
