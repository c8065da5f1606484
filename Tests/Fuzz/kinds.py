"""What is damaged and what then reads it. A kind makes a case in an empty folder: the damaged file, and the command."""

import os
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

import fixtures
import mutations
from fixtures import PROMPT, TINY

TEXT_FILES = [
    "model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json",
    "text_encoder/config.json", "text_encoder_2/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json", "tokenizer_2/vocab.json",
    "tokenizer_2/special_tokens_map.json",
]
WEIGHTS = ["unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
           "text_encoder/model.safetensors"]
CONFIGS = ["unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"]


@dataclass
class Case:
    """One command on one damaged file."""
    file: Path
    arguments: list
    # Any of these in the error line tells well enough which file is at fault.
    names: list = field(default_factory=list)
    # Exit statuses besides 0 and 64 that the damage may lead to.
    allowed: tuple = ()


def damage(rng, file, original):
    """Writes a damaged form of `original` to `file`, by its format."""
    data = original.read_bytes()
    suffix = original.suffix
    if suffix == ".json":
        data = mutations.json_text(rng, data)
    elif suffix == ".safetensors":
        data = mutations.safetensors(rng, data)
    elif suffix == ".png":
        data = mutations.png(rng, data)
    elif suffix in (".jpg", ".webp", ".tif"):
        data = mutations.photo(rng, data)
    elif suffix == ".yaml":
        data = mutations.yaml(rng, data)
    else:
        data = mutations.lines(rng, data)
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def reading(rng, where):
    """A command that reads a model, rarely one that renders."""
    roll = rng.random()
    if roll < 0.4:
        return ["inspect", str(where)]
    if roll < 0.75:
        return ["plan", "--model", str(where), *PROMPT, *TINY]
    return rendering(where)


def rendering(where):
    return ["render", "--model", str(where), *PROMPT, *TINY, "--workers", "1", "--output", "out.png",
            "--checkpoint-every", "0"]


class Kinds:
    def __init__(self, program, store):
        """`store` is a folder for files that are made only once."""
        self.program, self.store = program, store
        self._job = None
        store.mkdir(parents=True, exist_ok=True)
        self.single = store / "single.safetensors"
        fixtures.single_file(self.single)
        self.noise = store / "noise.safetensors"
        fixtures.inputs(self.noise)
        self.picture = store / "picture.png"
        fixtures.picture(self.picture)
        self.key = store / "key"
        fixtures.key(program, self.key)
        self.all = {
            "model": self.model_case, "config": self.config_case, "weights": self.weights_case,
            "tokenizer": self.tokenizer_case, "yaml": self.yaml_case, "single": self.single_case, "lora": self.lora_case, "picture": self.picture_case,
            "photo": self.photo_case,
            "cluster": self.cluster_case, "key": self.key_case, "noise": self.noise_case, "job": self.job_case,
        }

    # The share of each kind in a run of all kinds.
    shares = {"model": 5, "config": 5, "weights": 3, "tokenizer": 3, "yaml": 1, "single": 2, "lora": 3, "picture": 5, "photo": 5, "cluster": 5, "key": 1,
              "noise": 1, "job": 2}

    def _model(self, rng, folder, files):
        name = rng.choice(fixtures.MODELS)
        source, target = fixtures.model(name), folder / "model"
        fixtures.tree(source, target)
        file = rng.choice([f for f in files if (source / f).exists()])
        damage(rng, target / file, source / file)
        # Files of one part may contradict each other: it is enough to name the part.
        part = Path(file).parts[0]
        return target, Case(target / file, [], names=[str(target / part)])

    def model_case(self, rng, folder):
        where, case = self._model(rng, folder, TEXT_FILES)
        case.arguments = reading(rng, where)
        return case

    def config_case(self, rng, folder):
        """Values that pass, above all: `plan` and `render` follow them."""
        where, case = self._model(rng, folder, CONFIGS)
        case.arguments = rng.choice([rendering(where), ["plan", "--model", str(where), *PROMPT, *TINY]])
        return case

    def weights_case(self, rng, folder):
        where, case = self._model(rng, folder, WEIGHTS)
        case.arguments = rng.choice([["inspect", str(where)], rendering(where), rendering(where)])
        return case

    def tokenizer_case(self, rng, folder):
        """Every way in which tokenizers are saved, `tokenizer.json` alone among them."""
        where = folder / "model"
        fixtures.tree(fixtures.model("sd15-tiny"), where)
        files = fixtures.tokenizer(rng.choice(fixtures.TOKENIZERS), where / "tokenizer")
        file = rng.choice(files)
        original = folder / f"original{file.suffix}"
        file.rename(original)
        damage(rng, file, original)
        return Case(file, reading(rng, where), names=[str(where / "tokenizer")])

    def yaml_case(self, rng, folder):
        """A training configuration of the same stem beside a single file."""
        single = folder / "single.safetensors"
        single.symlink_to(self.single)
        original = folder / "original.yaml"
        original.write_text(fixtures.TRAINING_YAML)
        file = folder / "single.yaml"
        damage(rng, file, original)
        # The weights may contradict what the damaged file says.
        return Case(file, reading(rng, single), names=[str(single)])

    def single_case(self, rng, folder):
        file = folder / "single.safetensors"
        damage(rng, file, self.single)
        return Case(file, reading(rng, file))

    def lora_case(self, rng, folder):
        original = rng.choice(sorted((fixtures.OWN / "lora").glob("sd15-*.safetensors")))
        file = folder / "lora.safetensors"
        damage(rng, file, original)
        where = fixtures.model("sd15-tiny")
        command = rng.choice([["inspect", str(file)], ["inspect", str(where), "--lora", f"{file}:0.5"],
                              rendering(where) + ["--lora", str(file)]])
        return Case(file, command)

    def picture_case(self, rng, folder):
        pictures = sorted((fixtures.OWN / "pictures").glob("*.png")) + [self.picture] * 8
        file = folder / "photo.png"
        damage(rng, file, rng.choice(pictures))
        where = fixtures.model("sd15-tiny")
        more = ["--init-image", str(file), "--strength", rng.choice(["0", "1"])]
        if rng.random() < 0.3:
            return Case(file, ["plan", "--model", str(where), *PROMPT, *TINY, *more])
        return Case(file, rendering(where) + more)

    def photo_case(self, rng, folder):
        """As the init image, or as its mask."""
        original = rng.choice(fixtures.photos())
        file = folder / f"photo{original.suffix}"
        damage(rng, file, original)
        where = fixtures.model("sd15-tiny")
        more = ["--init-image", str(file), "--strength", rng.choice(["0", "1"])]
        if rng.random() < 0.3:
            more = ["--init-image", str(self.picture), "--mask", str(file)]
        if rng.random() < 0.3:
            return Case(file, ["plan", "--model", str(where), *PROMPT, *TINY, *more])
        return Case(file, rendering(where) + more)

    def cluster_case(self, rng, folder):
        file = folder / "cluster.yaml"
        damage(rng, file, rng.choice([fixtures.ROOT / "cluster.yaml", fixtures.ROOT / "Tests/Fuzz/hosts.yaml"]))
        where = fixtures.model("sd15-tiny")
        return Case(file, ["plan", "--model", str(where), *PROMPT, *TINY, "--cluster", str(file)])

    def key_case(self, rng, folder):
        file = folder / "key"
        damage(rng, file, self.key)
        os.chmod(file, 0o600)
        return Case(file, ["keys", "show", str(file)])

    def noise_case(self, rng, folder):
        file = folder / "noise.safetensors"
        damage(rng, file, self.noise)
        where = fixtures.model("sd15-tiny")
        command = ["render", "--model", str(where), *PROMPT, "--size", "256x256", "--steps", "1", "--workers", "1",
                   "--output", "out.png", "--checkpoint-every", "0", "--inputs", str(file)]
        return Case(file, command)

    def job_case(self, rng, folder):
        if self._job is None:
            self._job = fixtures.job(self.program, self.store / "render")
        job = folder / "job"
        shutil.copytree(self._job, job)
        # The record says in which folder the command ran: set it to this one.
        record = job / "job.json"
        record.write_text(record.read_text().replace(str(self.store / "render"), str(folder)))
        file = job / rng.choice(["job.json", "state.safetensors"])
        original = folder / ("original" + file.suffix)
        file.rename(original)
        damage(rng, file, original)
        original.unlink()
        return Case(file, ["resume", str(job)], names=[str(job)])


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
CONTENTS = {
    "empty": b"", "one byte": b"\0", "a page of HTML": b"<!DOCTYPE html><html><body>404</body></html>\n", "Git LFS": LFS,
    "another picture": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100), "a zip": b"PK\3\4" + bytes(100),
    "UTF-16": "{}".encode("utf-16"), "deep": b"[" * 200_000, "deep objects": b'{"a":' * 100_000,
    "deep flow": b"{a: " * 60_000, "deep YAML": b"- " * 100_000, "deep questions": b"? " * 100_000,
    "aliases": b"a0: &a0 x\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 25)),
    "aliases as keys": b"a0: &a0 [x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)) + b"? *a11\n: 1\n",
    "many lines": b"\n" * 200_000, "one long line": b"a" * 262_000, "long number": b"1" * 200_000,
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(20_000)) + b"}",
}
SPECIALS = ["missing", "folder", "FIFO", "loop", "device", "socket", *CONTENTS]


def make_special(what, file):
    """Puts a special file in place of a file."""
    file.unlink()
    if what == "folder":
        file.mkdir()
    elif what == "FIFO":
        os.mkfifo(file)
    elif what == "loop":
        file.symlink_to(file.name)
    elif what == "device":
        file.symlink_to("/dev/zero")
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            # Its path may be too long for the system, but is short as seen from its folder.
            at = os.open(".", os.O_RDONLY)
            os.chdir(file.parent)
            listening.bind(file.name)
            os.fchdir(at)
            os.close(at)
    elif what != "missing":
        file.write_bytes(CONTENTS[what])
        os.chmod(file, 0o600)
