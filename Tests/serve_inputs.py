#!/usr/bin/env python3
"""Pictures and LoRA files in jobs of `tessera serve`: Tests/serve_inputs.py PROGRAM MODEL [FLOW…]"""
import os
import shutil

from serve import FIXTURES, SMALL, Service, rendered, run  # reads PROGRAM and MODEL

PNG = {"Content-Type": "image/png"}


def flow_pictures(folder):
    """Jobs start from stored pictures, with masks, and write other formats, as `tessera render` does."""
    service = Service(folder)
    ids = {}
    for name in ("photo", "mask"):
        data = open(f"{FIXTURES}/inpaint/{name}.png", "rb").read()
        stored = service.ok("POST", "/api/v1/pictures", data, status=201, headers=PNG)
        again = service.ok("POST", "/api/v1/pictures", data, status=201, headers=PNG)
        assert stored == again and stored["width"] == 128, stored
        ids[name] = stored["id"]
        # The file's name is recorded in the picture's text.
        shutil.copy(f"{FIXTURES}/inpaint/{name}.png", f"{folder}/{stored['id']}")
    assert sorted(os.listdir(f"{folder}/data/inputs")) == sorted(ids.values())

    settings = {"steps": 4, "seed": 1}
    photo, mask = (f"{folder}/{ids[name]}" for name in ("photo", "mask"))
    for fields, flags, ending in [
        ({"initImage": ids["photo"]}, [f"--init-image={photo}"], "png"),
        ({"initImage": ids["photo"], "mask": ids["mask"]},
         [f"--init-image={photo}", f"--mask={mask}"], "png"),
        ({"format": "jpeg", "quality": 70}, ["--quality=70"], "jpeg"),
        ({"format": "webp"}, [], "webp"),
    ]:
        own = dict(settings) if "initImage" in fields else dict(SMALL)
        job = service.submit(settings=own, **fields)
        done = service.wait(job["id"], "done")
        status, answer, picture = service.call("GET", f"/api/v1/jobs/{job['id']}/picture")
        assert status == 200 and answer.getheader("Content-Type") == f"image/{ending}"
        assert done["request"] == job["request"]
        assert picture == rendered(folder, own, "a cat", *flags, ending=ending), fields

    for status, word, body in [
        (422, "mask", {"mask": ids["mask"]}), (422, "initImage", {"initImage": "0" * 64}),
        (422, "initImage", {"initImage": "../jobs.sqlite"}), (422, "initImage", {"initImage": ""}),
        (422, "initImage", {"initImage": f"../inputs/{ids['photo']}"}),
        (422, "quality", {"quality": 5}), (422, "quality", {"quality": 0, "format": "jpeg"}),
        (422, "format", {"format": "gif"}),
    ]:
        service.refused(status, word, "POST", "/api/v1/jobs", {"prompt": "a"} | body)
    service.refused(415, "image/png", "POST", "/api/v1/pictures", b"x",
                    {"Content-Type": "text/plain"})
    for data in (b"", b"x", b"\x89PNG\r\n\x1a\n", b"GIF89a"):
        service.refused(422, "picture", "POST", "/api/v1/pictures", data, PNG)
    service.refused(413, "upload", "POST", "/api/v1/pictures", b"", PNG | {
        "Content-Length": str(1 << 30)})
    assert len(os.listdir(f"{folder}/data/inputs")) == 2, "a refused picture was kept"
    service.stop()


def flow_loras(folder):
    """LoRA files by name, and as tags of A1111; workers get them with the job."""
    lora = f"{FIXTURES}/lora/sd15-kohya.safetensors"
    os.mkdir(f"{folder}/loras")
    shutil.copy(lora, f"{folder}/loras/style.safetensors")
    service = Service(folder, "--lora-dir", f"{folder}/loras")
    assert service.ok("GET", "/api/v1/loras")["loras"] == [{"name": "style"}]

    def picture(**fields):
        job = service.submit(**fields)["id"]
        service.wait(job, "done")
        return service.ok("GET", f"/api/v1/jobs/{job}/picture")

    plain = picture()
    half = picture(loras=[{"name": "style", "weight": 0.5}])
    path = f"{folder}/loras/style.safetensors"
    assert half == rendered(folder, SMALL, "a cat", f"--lora={path}:0.5") and half != plain
    # The next job is rendered without it.
    assert picture() == plain
    tagged = {"settings": SMALL | {"prompt-syntax": "a1111"}}
    prompt = "a cat <lora:style:0.5>"
    assert picture(prompt=prompt, **tagged) == rendered(
        folder, tagged["settings"], prompt, f"--lora-dir={folder}/loras")
    # A file that is missing when a job begins may come back: the job waits, and others continue.
    first = service.submit(settings={"size": "256x256", "steps": 400, "seed": 3})["id"]
    service.wait(first, "running")
    held = service.submit(loras=[{"name": "style", "weight": 0.5}])["id"]
    os.rename(path, f"{folder}/away")
    service.ok("POST", f"/api/v1/jobs/{first}/cancel")
    job = service.wait(held, "paused")
    assert "style" in job["error"] and "resume the job" in job["error"] and folder not in job["error"], job
    assert picture() == plain
    os.rename(f"{folder}/away", path)
    service.ok("POST", f"/api/v1/jobs/{held}/resume")
    job = service.wait(held, "done")
    assert job["error"] is None and service.ok("GET", f"/api/v1/jobs/{held}/picture") == half
    service.refused(422, "16383", "POST", "/api/v1/jobs",
                    {"prompt": "a", "format": "webp", "settings": {"size": "16392x8", "steps": 1}})
    for body in [
        {"loras": [{"name": "none"}]}, {"loras": [{"name": "../loras/style"}]}, {"loras": 1},
        {"loras": [{"name": "style", "weight": 1e9}]}, {"loras": [{"name": "style"}] * 21},
        {"loras": [{"name": "style", "x": 1}]}, {"prompt": "<lora:none:1>", **tagged},
        {"prompt": "<hypernet:x:1>", **tagged}, {"prompt": "<lora:style:a>", **tagged},
    ]:
        service.refused(422, "lora" if "prompt" not in body else "prompt" if "hyper" in
                        body["prompt"] or ":a>" in body["prompt"] else "LoRA",
                        "POST", "/api/v1/jobs", {"prompt": "a"} | body)
    service.stop()


if __name__ == "__main__":
    run(globals())
