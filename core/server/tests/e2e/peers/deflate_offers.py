"""Offers permessage-deflate with every mix of parameters, through the library `websockets`, and sends messages back and
forth under each; prints one JSON line per offer: what was agreed on, and whether all came back as it was sent."""

import asyncio
import itertools
import json
import os
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

TEXTS = ["", "short", "grüße 日本 " * 400, "x" * 100_000, os.urandom(20_000).hex()]


def offers():
    bits = [None, 9, 12, 15]  # of 8, clients can only ask the server
    for server_no, client_no in itertools.product([False, True], repeat=2):
        for server_bits, client_bits in itertools.product([*bits, 8], [*bits, True]):
            yield {
                "server_no_context_takeover": server_no,
                "client_no_context_takeover": client_no,
                "server_max_window_bits": server_bits,
                "client_max_window_bits": client_bits,
            }


async def talk(url, offer):
    factory = ClientPerMessageDeflateFactory(**offer)
    async with websockets.connect(url, extensions=[factory], compression=None, max_size=None) as client:
        await client.recv()  # OPEN
        await client.send("40")
        await client.recv()  # CONNECT
        await client.recv()  # the echo's `auth`
        same = True
        for text in TEXTS:
            await client.send("42" + json.dumps(["message", text], ensure_ascii=False))
            answer = await client.recv()
            same = same and json.loads(answer[2:]) == ["message-back", text]
        (agreed,) = client.protocol.extensions
        return {"offer": offer, "agreed": repr(agreed), "same": same}


async def main(url):
    for offer in offers():
        print(json.dumps(await talk(url, offer)), flush=True)


asyncio.run(main(sys.argv[1]))
