"""Distils the UNet to four steps without guidance, and to one step a window in refinement: a LoRA. Resumable.

    python distil.py --data /path/shards --state /path/distil --minutes 60 --cool-down 0.4
    python distil.py --state /path/distil --out ../Models/vista-lightning-4step.safetensors

Progressive distillation in one round (Salimans & Ho, 2022; the first half of SDXL-Lightning): the trailing timesteps of four
steps cut the teacher's way from noise to a picture into four phases. The teacher takes every phase in four guided steps of DDIM, and
the student learns to take it in one, unguided. No target is the student's own, so that it cannot run away. Half of the
pictures go on from where the student's step leads, so that it learns to continue from its own mistakes.

Windows are refined as `--method refine` does it: a drawing of half the size is decoded, enlarged, encoded, inverted by
the teacher and denoised from a quarter of the schedule, unguided.

A teacher's step costs more than a student's, so each lesson is kept and learnt from several times (`--turns`).
"""

import argparse
import glob
import json
import math
import os

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch.nn.utils import parametrize

import lora
import trainer
from drawings import Drawings, Text
from latents import LUMA, SLOPE, latents_of
from muon import FAST_BFLOAT16
from train_unet import SCHEDULER

CLEAN = -1
PHASES = [999, 749, 499, 249, CLEAN]
REFINED = [249, 124, CLEAN]  # one or two steps of refinement
SUBSTEPS = 4  # steps of the teacher, in a phase or in a whole refinement
GUIDANCE = 3.0  # what Models/vista suggests
HELD = 2  # the first rounds of lessons are for validation


def between(t, s, count):
    """`count` + 1 timesteps from `t` to `s`, rounded like trailing timesteps."""
    return [round(t + 1 - (t - s) * i / count) - 1 for i in range(count + 1)]


def lanczos(size):
    """The matrix that enlarges `size` pixels twofold with three lobes."""
    at = (torch.arange(2 * size) + 0.5) / 2 - 0.5
    x = at[:, None] - torch.arange(size)
    w = torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros(()))
    return w / w.sum(1, keepdim=True)


def slerp(a, b, share):
    """Spherical interpolation between latents."""
    angle = F.cosine_similarity(a.flatten(1), b.flatten(1))[:, None, None, None].acos()
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


class Teacher:
    """Makes lessons: a latent at a timestep, and the `v` with which one step leads where the teacher's steps lead."""

    def __init__(self, a, drawings):
        self.drawings, self.device = drawings, trainer.DEVICE
        self.unet = UNet2DConditionModel.from_pretrained(f"{a.model}/unet").float().requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        self.vae = AutoencoderKL.from_pretrained(f"{a.model}/vae").float().requires_grad_(False).to(self.device)
        acp = DDIMScheduler(**SCHEDULER).alphas_cumprod.double()
        self.angles = torch.cat([acp.sqrt().acos(), torch.zeros(1)]).tolist()  # the last one, [CLEAN], is 0

    def turn(self, t, s):
        """How far a latent turns from its noise towards the picture, between two timesteps."""
        return self.angles[t] - self.angles[s]

    def step(self, x, v, t, s):
        """DDIM's step is a rotation."""
        return math.cos(self.turn(t, s)) * x - math.sin(self.turn(t, s)) * v

    def lesson(self, x, end, t, s, about):
        v = (math.cos(self.turn(t, s)) * x - end) / math.sin(self.turn(t, s))
        return dict(x=x, v=v, t=torch.full((len(x),), t), turn=torch.full((len(x),), self.turn(t, s)), **about)

    def predict(self, net, x, t, about):
        t = torch.full((len(x),), t, device=self.device) if isinstance(t, int) else t
        # A separate cache: a weight that was cast without a gradient must not be reused where one is needed.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=FAST_BFLOAT16):
            return net(x.contiguous(memory_format=torch.channels_last), t, encoder_hidden_states=about["context"],
                       added_cond_kwargs=dict(text_embeds=about["pooled"], time_ids=about["ids"])).sample.float()

    def guided(self, x, t, about):
        two = dict(ids=about["ids"].repeat(2, 1), **{n: torch.cat([about[n], 0 * about[n]]) for n in ("context", "pooled")})
        v, other = self.predict(self.unet, x.repeat(2, 1, 1, 1), t, two).chunk(2)
        return other + GUIDANCE * (v - other)

    def along(self, x, times, predict):
        """The latents at all of `times`, from `x` at the first."""
        all_ = [x]
        for t, s in zip(times, times[1:]):
            all_.append(self.step(all_[-1], predict(all_[-1], t), t, s))
        return all_

    @torch.no_grad()
    def pictures(self, n, student=None):
        """From noise to pictures. Half of them follow the student, if there is one."""
        z, *rest = self.drawings.batch(n, share=0)
        about = dict(zip(("ids", "context", "pooled"), rest))
        x, lessons = torch.randn_like(z), []
        for t, s in zip(PHASES, PHASES[1:]):
            end = self.along(x, between(t, s, SUBSTEPS), lambda x, t: self.guided(x, t, about))[-1]
            lessons.append(self.lesson(x, end, t, s, about))
            if student and s != CLEAN:
                half = {name: c[::2] for name, c in about.items()}
                end = end.clone()
                end[::2] = self.step(x[::2], self.predict(student, x[::2], t, half), t, s)
            x = end
        return lessons

    def enlarged(self, z):
        """Latents of drawings of half the size, decoded, enlarged and encoded again."""
        colours, rows = F.avg_pool2d(z[:, :3], 2), F.avg_pool2d(z[:, :3], (1, 2))
        luma = torch.tensor(LUMA, device=z.device)[:, None, None] / 2
        small = torch.cat([colours, SLOPE * (luma * (rows[:, :, 0::2] - rows[:, :, 1::2])).sum(1, keepdim=True)], 1)
        picture = self.vae.decode(F.pad(small, (1, 1, 1, 1), mode="replicate")).sample[:, :, 8:-8, 8:-8].clamp(-1, 1)
        rows, columns = (lanczos(size).to(z.device) for size in picture.shape[2:])
        return latents_of((rows @ picture @ columns.mT).clamp(-1, 1))

    @torch.no_grad()
    def windows(self, n):
        """Windows of larger pictures, as refinement denoises them; and the prediction that inverts them."""
        z, *rest = self.drawings.batch(n, share=1)
        is_window = (rest[0][:, 2:4] != 0).any(1)
        if not is_window.any():  # a batch of wide or tall pictures
            return []
        about = dict(zip(("ids", "context", "pooled"), (r[is_window] for r in rest)))
        z = self.enlarged(z[is_window])
        v = self.predict(self.unet, z, 0, about)
        lessons = [dict(x=z, v=v, t=torch.zeros(len(z), dtype=torch.long), turn=torch.full((len(z),), 0.4), **about)]
        begin = self.angles[REFINED[0]]
        noise, other = math.sin(self.angles[0]) * z + math.cos(self.angles[0]) * v, torch.randn_like(z)
        share = torch.empty(len(z), 1, 1, 1, device=z.device).uniform_(0.15, 0.5)
        noise = slerp(noise, other, share)
        times = between(REFINED[0], CLEAN, SUBSTEPS)
        way = self.along(math.cos(begin) * z + math.sin(begin) * noise, times, lambda x, t: self.predict(self.unet, x, t, about))
        for t in REFINED[:-1]:
            lessons.append(self.lesson(way[times.index(t)], way[-1], t, CLEAN, about))
        return lessons


class Lessons:
    """What the teacher showed, kept on disk and in memory, by size; each kind is chosen by its weight."""

    def __init__(self, a, teacher):
        self.teacher, self.folder, self.round = teacher, f"{a.state}/lessons", a.round
        os.makedirs(self.folder, exist_ok=True)
        self.sizes, self.validation, self.made = {}, [], 0
        for path in sorted(glob.glob(f"{self.folder}/*.pt")):
            self.add(torch.load(path))

    def make(self, student=None):
        lessons = self.teacher.pictures(self.round, student) + self.teacher.windows(self.round)
        halves = [{n: c.half() if c.dtype == torch.float32 and n != "ids" else c for n, c in lesson.items()} for lesson in lessons]
        path = f"{self.folder}/{self.made:05d}.pt"
        torch.save(halves, path + ".tmp")
        os.rename(path + ".tmp", path)
        self.add(halves)

    def add(self, lessons):
        self.made += 1
        if self.made <= HELD:
            self.validation += lessons
            return
        for lesson in lessons:
            window = bool((lesson["ids"][:, 2:4] != 0).any())
            weight = (1.5 if lesson["t"][0] == 249 else 0.4) if window else 1.0
            lessons_of = self.sizes.setdefault(tuple(lesson["x"].shape[2:]), ([], []))
            for i in range(len(lesson["x"])):
                lessons_of[0].append((lesson, i))
                lessons_of[1].append(weight)

    def batch(self, n):
        weights = [sum(w) for _, w in self.sizes.values()]
        lessons, weights = list(self.sizes.values())[torch.multinomial(torch.tensor(weights), 1)]
        chosen = [lessons[i] for i in torch.multinomial(torch.tensor(weights), n, replacement=len(weights) < n).tolist()]
        return self.ready({name: torch.stack([lesson[name][i] for lesson, i in chosen]) for name in chosen[0][0]})

    def ready(self, lesson):
        return {n: c.to(trainer.DEVICE).float() if c.is_floating_point() else c.to(trainer.DEVICE) for n, c in lesson.items()}


def make_loss(a, drawings):
    teacher = Teacher(a, drawings)
    student = UNet2DConditionModel.from_pretrained(f"{a.model}/unet").float().requires_grad_(False).to(trainer.DEVICE, memory_format=torch.channels_last)
    lessons, calls = Lessons(a, teacher), [0]

    def errors(net, lesson):
        return (teacher.predict(net, lesson["x"], lesson["t"], lesson) - lesson["v"]).square().mean((1, 2, 3))

    @torch.no_grad()
    def validate(net):
        """Mean errors of the validation lessons, by what they are about."""
        found = {}
        for lesson in map(lessons.ready, lessons.validation):
            kind = "window" if (lesson["ids"][:, 2:4] != 0).any() else "picture"
            found.setdefault(f"{kind} {lesson['t'][0].item()}", []).append(errors(net, lesson).mean().item())
        return {kind: round(sum(e) / len(e), 5) for kind, e in found.items()}

    def loss_of(adapter):
        if not calls[0]:
            while lessons.made < HELD + a.first:
                lessons.make()
                print("lessons", lessons.made, flush=True)
            print("undistilled", json.dumps(validate(teacher.unet)), flush=True)
            for n, m in lora.adapted(student).items():
                parametrize.register_parametrization(m, "weight", adapter[n.replace(".", "|")])
        elif calls[0] % a.turns == 0 and lessons.made < a.most:
            lessons.make(student if calls[0] > a.alone else None)
        if calls[0] % 100 == 0:
            print("student", lessons.made, json.dumps(validate(student)), flush=True)
        calls[0] += 1
        lesson = lessons.batch(a.batch)
        error = errors(student, lesson)
        return (error * lesson["turn"].sin()).mean(), error.detach().mean()

    return loss_of


def make_adapter(a):
    return lora.make_adapter(UNet2DConditionModel.from_pretrained(f"{a.model}/unet"))


def write(a):
    adapter = make_adapter(a)
    adapter.load_state_dict(torch.load(f"{a.state}/state.pt", weights_only=False)["ema"])
    lora.write(adapter, a.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="../Models/vista")
    parser.add_argument("--data", help="folder of the shards")
    parser.add_argument("--out", help="write the LoRA there instead of training")
    parser.add_argument("--begin-with", type=int, default=2_000, help="drawings to use: begin as soon as they are there")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--round", type=int, default=8, help="pictures, and windows, of a round of lessons")
    parser.add_argument("--first", type=int, default=6, help="rounds of lessons before the first step")
    parser.add_argument("--turns", type=int, default=8, help="steps from one round of lessons to the next")
    parser.add_argument("--most", type=int, default=100_000, help="maximum number of rounds")
    parser.add_argument("--alone", type=int, default=200, help="steps before the student is followed")
    trainer.arguments(parser, minutes=60, rate=1e-3)
    a = parser.parse_args()
    if a.out:
        write(a)
    else:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
        drawings = Drawings(a.data, trainer.DEVICE, Text(a.model, trainer.DEVICE), capacity=8 * a.begin_with)
        drawings.wait_for(a.begin_with)
        trainer.train(lambda: make_adapter(a), make_loss(a, drawings), a)
