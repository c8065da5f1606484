#!/usr/bin/env python3
"""OpenAI's own client against `tessera serve`: Tests/openai_client.sh PROGRAM MODEL"""
import base64
import tempfile
import urllib.request

import openai

from serve import FIXTURES, Service, rendered  # reads PROGRAM and MODEL


def is_png(data):
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")


def main(folder):
    service = Service(folder, "--max-pixels", "100000")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key="unused",
                           max_retries=0)
    models = [model.id for model in client.models.list()]
    assert len(models) == 1 and client.models.retrieve(models[0]).id == models[0]

    # Two pictures with another provider's model name, and a field that Tessera does not know.
    answer = client.images.generate(model="dall-e-3", prompt="a cat", n=2, size="128x192",
                                    quality="low", extra_body={"moderation": "low", "colour": 1})
    pictures = [base64.b64decode(item.b64_json) for item in answer.data]
    assert len(pictures) == 2 and all(map(is_png, pictures)) and pictures[0] != pictures[1]
    assert answer.created > 1.7e9 and answer.usage.total_tokens == 0

    # The same job with the API's own settings gives the same bytes.
    job = service.ok("GET", "/api/v1/jobs?limit=1")["jobs"][0]
    settings = job["request"]["settings"]
    assert settings["size"] == "128x192" and job["request"]["preset"] == "draft"
    assert pictures[1] == rendered(folder, settings, "a cat", "--preset=draft")

    answer = client.images.generate(model=models[0], prompt="a cat", size="128x128",
                                    response_format="url", user="ann", quality="low")
    with urllib.request.urlopen(answer.data[0].url) as link:
        assert is_png(link.read())

    events = list(client.images.generate(model=models[0], prompt="a cat", size="128x128",
                                         stream=True, partial_images=2, quality="low"))
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_generation.completed"
    assert set(kinds[:-1]) <= {"image_generation.partial_image"}
    for event in events:
        assert is_png(base64.b64decode(event.b64_json)) and event.created_at > 1.7e9
    events = list(client.images.generate(model=models[0], prompt="a cat", size="256x256",
                                         stream=True, partial_images=1))
    assert [event.type for event in events][0] == "image_generation.partial_image", kinds
    assert events[0].partial_image_index == 0 and is_png(base64.b64decode(events[0].b64_json))

    answer = client.images.generate(model=models[0], prompt="a cat", size="128x128", quality="low",
                                    output_format="webp", output_compression=50)
    assert base64.b64decode(answer.data[0].b64_json)[8:12] == b"WEBP"
    assert answer.output_format == "webp"

    photo, mask = (f"{FIXTURES}/inpaint/{name}.png" for name in ("photo", "mask"))
    with open(photo, "rb") as image, open(mask, "rb") as change:
        edited = client.images.edit(model=models[0], image=image, mask=change, prompt="a cat",
                                    quality="low", n=1, size="128x128")
    assert is_png(base64.b64decode(edited.data[0].b64_json))
    job = service.ok("GET", "/api/v1/jobs?limit=1")["jobs"][0]["request"]
    assert len(job["initImage"]) == 64 and len(job["mask"]) == 64 and job["prompt"] == "a cat"
    with open(photo, "rb") as image:
        events = list(client.images.edit(model=models[0], image=[image], prompt="a cat",
                                         quality="low", stream=True))
    assert [event.type for event in events] == ["image_edit.completed"]
    assert events[0].size == "128x128", "not the picture's own size"
    with open(photo, "rb") as image:
        varied = client.images.create_variation(image=image, n=2, size="128x128",
                                                response_format="url")
    assert len(varied.data) == 2
    with urllib.request.urlopen(varied.data[1].url) as link:
        assert is_png(link.read())

    for error, word, fields in [
        (openai.UnprocessableEntityError, "size", {"size": "12by12"}),
        (openai.UnprocessableEntityError, "pixels", {"size": "1024x1024"}),
        (openai.UnprocessableEntityError, "model", {"model": "nobody's"}),
        (openai.UnprocessableEntityError, "n", {"n": 11}),
        (openai.UnprocessableEntityError, "output_format", {"output_format": "tiff"}),
        (openai.NotFoundError, "model", None),
    ]:
        try:
            if fields is None:
                client.models.retrieve("nobody's")
            else:
                client.images.generate(**{"model": models[0], "prompt": "a cat", **fields})
        except error as found:
            assert word in str(found) and found.body["type"] == "invalid_request_error", found
        else:
            raise AssertionError(f"{fields} was not refused")
    service.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
    print("openai", openai.__version__, "done")
