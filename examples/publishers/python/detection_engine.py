"""A detection engine: streams made-up scores, alerts and video frames about a meeting into the deepfake plugin."""

import argparse
import asyncio
import json
import os
import random
import re

import nats


def token(text):
    """A part of a subject: whatever is not plain becomes =XX."""
    return re.sub(rb"[^A-Za-z0-9_-]", lambda m: b"=%02X" % m[0][0], text.encode()).decode() or "="


def score(middle):
    return round(min(1.0, max(0.0, random.gauss(middle, 0.05))), 2)


def results(fake):
    return {
        "audioAnalysis": {
            "voiceCloneScore": score(0.85 if fake else 0.1),
            "confidence": score(0.92),
            "features": ["pitch_variation", "energy_contour"],
        },
        "videoAnalysis": {"facialConsistency": score(0.9), "lipSyncError": score(0.05), "confidence": score(0.88)},
        "behavioralAnalysis": {"emotionConsistency": score(0.82), "confidence": score(0.9)},
    }


async def main(meeting, participants, seconds):
    bus = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))

    def subject(event):
        return f"exedra.in.deepfake.{token(meeting)}.{event}"

    async def send(event, payload):
        await bus.publish(subject(event), json.dumps(payload).encode())

    # An alert must not get lost: as a request it is answered once it is stored.
    alert = {
        "participantId": participants[0],
        "severity": "high",
        "message": "Possible voice cloning detected",
        "type": "voice_clone_detected",
        "confidence": 0.95,
    }
    answer = await bus.request(subject("deepfake-alert"), json.dumps(alert).encode(), timeout=5)
    print("alert:", answer.data.decode(), flush=True)

    for turn in range(int(seconds * 5)):
        for at, participant in enumerate(participants):
            fake = at == 0
            await send("detection-update", {"participantId": participant, "results": results(fake)})
            await send("trust-score-update", {"participantId": participant, "trustScore": score(0.4 if fake else 0.9)})
        if turn % 5 == 0:
            # Bytes as they are; what they are stands in a header.
            about = {"Frame-Meta": json.dumps({"participantId": participants[0]})}
            await bus.publish(subject("video-frame"), picture(turn), headers=about)
        await asyncio.sleep(0.2)
    await bus.drain()


def picture(turn, width=64, height=36):
    """A bitmap file of one colour: stands for a frame of the camera."""
    size = width * height * 3
    header = b"BM" + (54 + size).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    about = (40).to_bytes(4, "little") + width.to_bytes(4, "little") + height.to_bytes(4, "little")
    about += (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    return header + about + bytes([turn * 8 % 256, 120, 200]) * (width * height)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("meeting")
    arguments.add_argument("--participants", nargs="+", default=["ann", "bob", "carol"])
    arguments.add_argument("--seconds", type=float, default=30)
    asyncio.run(main(**vars(arguments.parse_args())))
