"""A member of a meeting on python-socketio: joins, then prints every event it hears as one JSON line."""

import asyncio
import json
import os
import sys

import socketio


def tell(event, data):
    print(json.dumps({"event": event, "args": [data]}), flush=True)


async def main(url, meeting):
    client = socketio.AsyncClient(reconnection=False)
    client.on("participants_updated", lambda data: tell("participants_updated", data))
    client.on("phaseChanged", lambda data: tell("phaseChanged", data))
    await client.connect(url, auth={"token": os.environ["MEETING_TOKEN"]})
    answer = await client.call("join_meeting", {"meetingId": meeting}, timeout=10)
    tell("joined", answer)
    await client.wait()


asyncio.run(main(*sys.argv[1:]))
