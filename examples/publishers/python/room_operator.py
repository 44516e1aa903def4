"""An operator of public rooms: puts a room there, tells everybody in it something, and asks who is connected."""

import argparse
import asyncio
import json
import os
import re

import nats


def token(text):
    """A part of a subject: whatever is not plain becomes =XX."""
    return re.sub(rb"[^A-Za-z0-9_-]", lambda m: b"=%02X" % m[0][0], text.encode()).decode() or "="


async def main(room, message, places):
    bus = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))

    async def ask(subject, payload):
        answer = json.loads((await bus.request(subject, json.dumps(payload).encode(), timeout=5)).data)
        if "error" in answer:
            raise SystemExit(f"{answer['error']['code']}: {answer['error']['message']}")
        return answer

    put = {"roomId": room, "name": room.capitalize(), "maxOccupancy": places}
    print("room:", await ask("exedra.rpc.public-rooms.put-room", put), flush=True)

    # As a request it is answered once it is on its way to everybody; `publish` would not wait.
    subject = f"exedra.in.public-rooms.{token(room)}.room-update"
    print("sent:", await ask(subject, {"message": message, "maxOccupancy": places}), flush=True)

    print("stats:", await ask("exedra.rpc.public-rooms.stats", {"ipAddress": "127.0.0.1"}), flush=True)
    await bus.drain()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("room")
    arguments.add_argument("--message", default="Room capacity changed")
    arguments.add_argument("--places", type=int, default=50)
    given = arguments.parse_args()
    asyncio.run(main(given.room, given.message, given.places))
