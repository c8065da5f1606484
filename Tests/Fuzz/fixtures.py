"""The original files to be damaged: those of Tests/Fixtures, and a few that are made from them or by the program."""

import json
import os
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path

import mutations

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "Tests/Fixtures"
MODELS = ["sd15-tiny", "sd21-tiny", "sdxl-tiny"]
TINY = ["--size", "64x64", "--steps", "1", "--seed", "3"]
PROMPT = ["--prompt", "a lake at dawn, 4k 🦊"]


def model(name):
    return OWN / name


def tensors(path):
    """Entries and bytes by name."""
    header, body = mutations.safetensors_split(path.read_bytes())
    return {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
        for name, entry in header.items() if name != "__metadata__"
    }


def write_tensors(path, entries):
    header, body = {}, bytearray()
    for name, (dtype, shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    path.write_bytes(mutations.safetensors_join(header, bytes(body)))


def transposed(entry):
    dtype, (rows, columns), data = entry
    size = len(data) // (rows * columns)
    cells = [data[i * size:(i + 1) * size] for i in range(rows * columns)]
    return dtype, [columns, rows], b"".join(cells[r * columns + c] for c in range(columns) for r in range(rows))


def single_file(path):
    """SD 1.5 as a single file in the original layout, made with the list beside the fixtures."""
    layout = json.loads((OWN / "single-file/sd15.json").read_text())["fixture"]
    parts = {}
    made = {}
    for name, (component, sources, operation, shape) in layout.items():
        if operation == "extra":
            count = 1
            for side in shape:
                count *= side
            made[name] = ("F32", shape, bytes(4 * count))
            continue
        if component not in parts:
            stem = "model" if component.startswith("text") else "diffusion_pytorch_model"
            parts[component] = tensors(model("sd15-tiny") / component / f"{stem}.safetensors")
        sources = [sources] if isinstance(sources, str) else sources
        first = parts[component][sources[0]]
        if operation == "transpose":
            first = transposed(first)
        data = first[2] + b"".join(parts[component][other][2] for other in sources[1:])
        made[name] = (first[0], shape, data)
    write_tensors(path, made)


TOKENIZERS = ["pair", "saved", "strings", "alone", "saved-added", "decoder", "legacy", "published"]

TRAINING_YAML = """model:
  base_learning_rate: 1.0e-4
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    parameterization: "v"
    linear_start: 0.00085
    linear_end: 0.0120
    timesteps: 1000
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params: {image_size: 64, in_channels: 4, use_linear_in_transformer: true}
"""


def tokenizer(name, folder):
    """The files of a tokenizer, in one of the forms in which tokenizers are saved."""
    files = json.loads((OWN / "tokenizers/tokenizers.json").read_text())["cases"][name]["files"]
    for old in folder.iterdir():
        old.unlink()
    for file, text in files.items():
        (folder / file).write_text(text)
    return sorted(folder / file for file in files)


def inputs(path):
    """Noise for a small render, as --inputs reads it."""
    entries = tensors(OWN / "expected/sd15.safetensors")
    wanted = {"run.2x.base_noise": "base_noise", "run.2x.phase_noise.2": "phase_noise.2", "run.2x.jitter": "jitter"}
    write_tensors(path, {new: entries[old] for old, new in wanted.items() if old in entries})


def picture(path):
    """A PNG with a chunk of every kind that carries information."""
    header = struct.pack(">IIBBBBB", 24, 16, 8, 2, 0, 0, 0)
    rows = b"".join(b"\1" + bytes((x * 7 + y * 3 + c) % 9 for x in range(24) for c in range(3)) for y in range(16))
    mutations_of = mutations.png_join([
        [b"IHDR", header], [b"gAMA", struct.pack(">I", 45455)],
        [b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)],
        [b"tEXt", b"parameters\0a lake\nSteps: 5, Size: 24x16"], [b"zTXt", b"k\0\0" + zlib.compress(b"text" * 30)],
        [b"iTXt", b"u\0\0\0en\0\0naive"], [b"pHYs", struct.pack(">IIB", 2835, 2835, 1)],
        [b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"],
        [b"IDAT", zlib.compress(rows)], [b"IEND", b""],
    ])
    path.write_bytes(mutations_of)


def photos():
    """JPEGs, WebPs and TIFFs of every kind."""
    return sorted(p for p in (OWN / "photos").iterdir() if p.suffix != ".json")


def job(program, folder):
    """The folder of a render that was killed after its first step, and the folder in which it was started."""
    folder.mkdir(parents=True)
    command = [
        str(program), "render", "--model", str(model("sd15-tiny")), "--prompt", "a prompt", "--size", "136x136",
        "--steps", "10", "--seed", "5", "--workers", "1", "--output", "out.png", "--job-dir", "job",
    ]
    running = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    state = folder / "job/state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    error = running.communicate()[1].decode()
    if not state.exists():
        raise SystemExit(f"fuzz: no job could be prepared: {error}")
    return folder / "job"


KEY = "# A secret key of Tessera. Whoever has it can pass for its owner.\n"


def key(program, path):
    path.unlink(missing_ok=True)
    Path(f"{path}.pub").unlink(missing_ok=True)
    subprocess.run([str(program), "keys", "new", str(path)], check=True, stdout=subprocess.DEVNULL)


def tree(source, target, names=None):
    """A copy of a folder made of links, any of which can be replaced by a damaged file."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and (names is None or path.name in names):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path, place)
