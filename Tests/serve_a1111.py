#!/usr/bin/env python3
"""A1111's API of `tessera serve`, as its clients use it: Tests/serve_a1111.py PROGRAM MODEL [FLOW…]"""
import base64
import json
import os
import struct
import threading
import time
import zlib

from serve import FIXTURES, MODEL, Service, rendered, run  # reads PROGRAM and MODEL

NAME = os.path.basename(MODEL)


def code(path):
    return base64.b64encode(open(path, "rb").read()).decode()


def size(picture):
    """Width and height of a PNG."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n") and picture.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", picture[16:24])


def png(width, height, pixel):
    """An RGBA PNG of a function of column and row."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def flow_txt2img(folder):
    """Pictures, their settings in `info`, seeds that follow each other, and our ladder for enable_hr."""
    service = Service(folder)
    body = {"prompt": "a cat", "negative_prompt": "dogs", "steps": 4, "cfg_scale": 5, "width": 128,
            "height": 192, "seed": 7, "batch_size": 2, "sampler_name": "Euler", "scheduler": "Karras",
            "alwayson_scripts": {"ADetailer": {"args": []}}, "save_images": False}
    answer = service.ok("POST", "/sdapi/v1/txt2img", body)
    pictures = [base64.b64decode(item) for item in answer["images"]]
    assert [size(picture) for picture in pictures] == [(128, 192)] * 2
    info = json.loads(answer["info"])
    assert info["seed"] == 7 and info["all_seeds"] == [7, 8] and info["steps"] == 4
    assert info["batch_size"] == 2 and info["cfg_scale"] == 5 and info["sampler_name"] == "Euler"
    assert (info["width"], info["height"], info["sd_model_name"]) == (128, 192, NAME)
    assert "ADetailer" in info["extra_generation_params"]["Tessera"]
    assert answer["parameters"]["prompt"] == "a cat"
    for text, seed in zip(info["infotexts"], info["all_seeds"]):
        assert text.startswith("a cat\nNegative prompt: dogs\nSteps: 4, Sampler: Euler Karras"), text
        assert f"Seed: {seed}," in text and "Size: 128x192" in text
    settings = {"steps": 4, "guidance": 5, "size": "128x192", "scheduler": "euler", "rng": "philox",
                "prompt-syntax": "a1111", "timestep-spacing": "linspace", "seed": 8}
    assert pictures[1] == rendered(folder, settings, "a cat", "--karras",
                                   "--negative-prompt=dogs"), "not the picture of render"

    found = service.ok("POST", "/sdapi/v1/png-info",
                       {"image": "data:image/png;base64," + answer["images"][0]})
    assert found["info"] == info["infotexts"][0] and found["parameters"]["Seed"] == "7"
    assert found["parameters"]["Prompt"] == "a cat" and "tessera" in found["items"]

    large = service.ok("POST", "/sdapi/v1/txt2img", {
        "prompt": "a cat", "steps": 2, "width": 128, "height": 64, "enable_hr": True,
        "hr_scale": 3, "hr_upscaler": "Tessera refine", "hr_second_pass_steps": 1,
        "denoising_strength": 0.3, "seed": -1, "override_settings": {"samples_format": "jpg"}})
    assert base64.b64decode(large["images"][0]).startswith(b"\xff\xd8")
    job = service.ok("GET", "/api/v1/jobs?limit=1")["jobs"][0]
    assert (job["width"], job["height"]) == (384, 192)
    assert job["request"]["settings"]["method"] == "refine"
    info = json.loads(large["info"])
    assert info["seed"] == int(job["request"]["settings"]["seed"]) and info["batch_size"] == 1
    # Settings that were not requested are reported as they were used.
    assert f"Sampler: {info['sampler_name']}," in info["infotexts"][0] and info["sampler_name"], info
    assert f"CFG scale: {info['cfg_scale']:g}," in info["infotexts"][0], info

    for word, wrong in [
        ("sampler", {"sampler_name": "none"}), ("steps", {"steps": 0}), ("width", {"width": -1}),
        ("model", {"override_settings": {"sd_model_checkpoint": "none"}}),
        ("LoRA", {"prompt": "<lora:none:1>"}), ("pixels", {"width": 60000, "height": 60000}),
    ]:
        answer = service.refused(422, word, "POST", "/sdapi/v1/txt2img", {"prompt": "a"} | wrong)
    _, _, content = service.call("POST", "/sdapi/v1/txt2img", {"steps": 0})
    assert set(content) == {"error", "detail", "body", "errors"}, content
    service.stop()


def flow_img2img(folder):
    """Pictures to start from, masks of either colour or of transparency, and enlarging."""
    service = Service(folder)
    photo, mask = (f"{FIXTURES}/inpaint/{name}.png" for name in ("photo", "mask"))
    body = {"prompt": "a cat", "steps": 4, "seed": 1, "denoising_strength": 0.6,
            "init_images": [code(photo)]}

    def picture(**more):
        answer = service.ok("POST", "/sdapi/v1/img2img", body | more)
        assert answer["parameters"]["init_images"] is None
        assert json.loads(answer["info"])["denoising_strength"] == 0.6
        return base64.b64decode(answer["images"][0])

    def settings():
        job = service.ok("GET", "/api/v1/jobs?limit=1")["jobs"][0]["request"]
        files = [f"--{flag}={folder}/data/inputs/{job[field]}" for flag, field in
                 [("init-image", "initImage"), ("mask", "mask")] if field in job]
        return {name: value for name, value in job["settings"].items()}, files

    plain = picture()
    own, files = settings()
    assert own["strength"] == 0.6 and len(files) == 1
    assert plain == rendered(folder, own, "a cat", *files)
    masked = picture(mask="data:image/png;base64," + code(mask))
    own, files = settings()
    assert len(files) == 2 and masked == rendered(folder, own, "a cat", *files)
    inverted = picture(mask=code(mask), inpainting_mask_invert=1)
    assert len({plain, masked, inverted}) == 3
    # The left half is transparent.
    half = base64.b64encode(png(128, 128, lambda x, y: (9, 9, 9, 0 if x < 64 else 255))).decode()
    picture(mask=half)
    stored = open(settings()[1][1].split("=", 1)[1], "rb").read()
    assert size(stored) == (128, 128)

    answer = service.ok("POST", "/sdapi/v1/extra-single-image",
                        {"image": code(photo), "upscaling_resize": 2, "upscaler_1": "None"})
    assert size(base64.b64decode(answer["image"])) == (256, 256)
    for word, wrong in [("init_images", {"init_images": []}), ("init_images", {"init_images": ["!"]}),
                        ("init_images", {"init_images": [base64.b64encode(b"x").decode()]}),
                        ("mask", {"mask": "eA=="})]:
        service.refused(422, word, "POST", "/sdapi/v1/img2img", body | wrong)
    service.stop()


def flow_session(folder):
    """Options are kept, progress is told, and an interrupted request is answered, as SillyTavern does it."""
    os.mkdir(f"{folder}/models")
    os.symlink(MODEL, f"{folder}/models/other")
    service = Service(folder, "--models", f"{folder}/models")
    titles = [model["title"] for model in service.ok("GET", "/sdapi/v1/sd-models")]
    assert sorted(titles) == sorted([NAME, "other"]), titles
    assert service.ok("GET", "/sdapi/v1/options")["sd_model_checkpoint"] == NAME
    assert service.ok("POST", "/sdapi/v1/options", {"sd_model_checkpoint": "other [0123]"}) is None
    assert service.ok("GET", "/sdapi/v1/options")["sd_model_checkpoint"] == "other"
    ben = {"Tessera-User": "ben"}
    assert service.ok("GET", "/sdapi/v1/options", headers=ben)["sd_model_checkpoint"] == NAME
    service.refused(422, "none", "POST", "/sdapi/v1/options", {"sd_model_checkpoint": "none"})

    samplers = {item["name"] for item in service.ok("GET", "/sdapi/v1/samplers")}
    assert {"Euler a", "DPM++ 2M", "DDIM"} <= samplers
    schedulers = service.ok("GET", "/sdapi/v1/schedulers")
    assert {"name", "label"} <= set(schedulers[0])
    for name in ("sd-vae", "loras", "upscalers", "latent-upscale-modes", "hypernetworks",
                 "prompt-styles", "face-restorers"):
        assert isinstance(service.ok("GET", f"/sdapi/v1/{name}"), list), name
    for name in ("memory", "embeddings", "scripts", "cmd-flags"):
        assert isinstance(service.ok("GET", f"/sdapi/v1/{name}"), dict), name
    assert any(item["name"] == "Tessera refine"
               for item in service.ok("GET", "/sdapi/v1/upscalers"))

    idle = service.ok("GET", "/sdapi/v1/progress?skip_current_image=true")
    assert idle["progress"] == 0 and idle["state"]["job_count"] == 0 and idle["current_image"] is None
    answers = []
    body = {"prompt": "a", "steps": 400, "width": 256, "height": 256, "n_iter": 2}
    thread = threading.Thread(
        target=lambda: answers.append(service.ok("POST", "/sdapi/v1/txt2img", body)))
    thread.start()
    deadline = time.time() + 60
    while True:
        told = service.ok("GET", "/sdapi/v1/progress")
        if told["progress"] > 0:
            break
        assert time.time() < deadline and not answers, told
        time.sleep(0.05)
    assert told["state"]["job_count"] == 2 and told["state"]["sampling_steps"] == 400
    assert 0 < told["progress"] < 1 and told["state"]["job"] == "txt2img"
    # The picture so far, as SillyTavern and others show it.
    while not told["current_image"]:
        assert time.time() < deadline, told
        time.sleep(0.05)
        told = service.ok("GET", "/sdapi/v1/progress?skip_current_image=false")
    picture = base64.b64decode(told["current_image"])
    # As many pixels as the phase's latent.
    assert size(picture) in ((16, 16), (32, 32)) and len(picture) > 100, size(picture)
    while service.ok("GET", "/sdapi/v1/progress")["current_image"] == told["current_image"]:
        assert time.time() < deadline, "the picture does not change"
        time.sleep(0.05)
    assert service.ok("GET", "/sdapi/v1/progress?skip_current_image=true")["current_image"] is None
    # One user's requests are not another's.
    assert service.ok("GET", "/sdapi/v1/progress", headers=ben)["current_image"] is None
    assert service.ok("GET", "/sdapi/v1/progress", headers=ben)["progress"] == 0
    assert service.ok("POST", "/sdapi/v1/interrupt", headers=ben) == {}
    assert not answers
    assert service.ok("POST", "/sdapi/v1/skip") == {}
    while service.ok("GET", "/sdapi/v1/progress")["state"]["job_no"] < 1:
        time.sleep(0.05)
    start = time.time()
    assert service.ok("POST", "/sdapi/v1/interrupt") == {}
    thread.join(timeout=30)
    assert not thread.is_alive() and time.time() - start < 10
    assert answers[0]["images"] == [] and json.loads(answers[0]["info"])["all_seeds"] == []
    while True:
        told = service.ok("GET", "/sdapi/v1/progress")
        if told["progress"] == 0 and told["state"]["job_count"] == 0:
            break
        time.sleep(0.05)
    jobs = service.ok("GET", "/api/v1/jobs")["jobs"]
    assert [job["state"] for job in jobs] == ["cancelled"] * 2 and jobs[0]["model"] == "other"
    service.stop()


if __name__ == "__main__":
    run(globals())
