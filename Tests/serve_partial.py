#!/usr/bin/env python3
"""Pictures of finished phases, while the rest is rendered: Tests/serve_partial.py PROGRAM MODEL [FLOW…]"""
import base64
import json
import re
import struct

from serve import Service, rendered, run  # reads PROGRAM and MODEL

# Two or more phases.
SETTINGS = {"size": "256x256", "steps": 4, "seed": 3, "method": "demofusion"}


def size(picture):
    assert picture.startswith(b"\x89PNG\r\n\x1a\n") and picture.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", picture[16:24])


def flow_partial(folder):
    """A job stores its phases when asked to, with the same bytes at the end; OpenAI's stream sends them."""
    service = Service(folder)
    job = service.submit(settings=SETTINGS, phasePictures=True)["id"]
    text = service.call("GET", f"/api/v1/jobs/{job}/events")[2].decode()
    phases = [json.loads(line[6:])["phase"] for line in text.splitlines()
              if line.startswith("data: ") and '"phase":' in line and "share" not in line]
    assert phases and phases == list(range(1, len(phases) + 1)), text
    plan = service.ok("POST", "/api/v1/plan", {"prompt": "a cat", "settings": SETTINGS})
    assert len(phases) == len(plan["phases"]) - 1, (phases, plan)
    sides = [size(service.ok("GET", f"/api/v1/jobs/{job}/phases/{number}"))[0] for number in phases]
    assert sides == sorted(sides) and sides[-1] < 256, sides
    for number in [0, len(phases) + 1, "x", "..%2f..", -1]:
        service.ok("GET", f"/api/v1/jobs/{job}/phases/{number}", status=404)
    picture = service.ok("GET", f"/api/v1/jobs/{job}/picture")
    assert picture == rendered(folder, SETTINGS), "not the bytes of tessera render"
    plain = service.submit(settings=SETTINGS)["id"]
    service.wait(plain, "done")
    service.ok("GET", f"/api/v1/jobs/{plain}/phases/1", status=404)

    def stream(**fields):
        body = {"prompt": "a cat", "size": "256x256", "quality": "low", "stream": True, **fields}
        answer = service.ok("POST", "/v1/images/generations", body).decode()
        names = re.findall(r"^event: (\S+)$", answer, re.M)
        events = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: ")]
        assert names == [event["type"] for event in events]
        return events

    draft = {"prompt": "a cat", "preset": "draft", "settings": {"size": "256x256"}}
    stages = len(service.ok("POST", "/api/v1/plan", draft)["phases"]) - 1
    assert stages
    partial, done = "image_generation.partial_image", "image_generation.completed"
    for wanted in [1, 3]:
        events = stream(partial_images=wanted)
        count = min(wanted, stages)
        assert [event["type"] for event in events] == [partial] * count + [done], events
        for index, event in enumerate(events[:-1]):
            assert event["partial_image_index"] == index and event["created_at"] > 1.7e9
            width, height = size(base64.b64decode(event["b64_json"]))
            assert event["size"] == f"{width}x{height}" and width < 256
        assert size(base64.b64decode(events[-1]["b64_json"])) == (256, 256)
        assert events[-1]["usage"]["total_tokens"] == 0
    assert [event["type"] for event in stream(partial_images=0)] == [done]
    assert [event["type"] for event in stream()] == [done]
    events = stream(partial_images=1, n=2)
    assert [event["type"] for event in events] == [partial, done] * 2
    service.stop()


if __name__ == "__main__":
    run(globals())
