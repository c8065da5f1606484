"""Timesteps, noise levels and latents of runs with timestep flags, computed by Diffusers:

    /work/venv/bin/python Training/reference/make_schedule_fixtures.py Tests/Fixtures/schedules.json

SGM's uniform schedule is not in Diffusers: its levels are those of k-diffusion's DiscreteSchedule, log σ between
whole timesteps, at equal parts of the training schedule, and its run is Euler's method written out.
"""

import json
import sys

import diffusers
import torch

BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            prediction_type="epsilon", steps_offset=1)
SIZE = 4


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def diffusers_run(name, steps, config, choice):
    kind = getattr(diffusers, name)
    scheduler = kind(**config)
    scheduler.set_timesteps(steps)
    noise = numbers(3, steps, 1, 1, 1, SIZE)
    fresh = iter(noise)
    # Ancestral schedulers draw their own noise: replace it with the test's.
    module = sys.modules[kind.__module__]
    module.randn_tensor = lambda *args, **kwargs: next(fresh)
    start, outputs = numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    x = start * scheduler.init_noise_sigma
    for t, output in zip(scheduler.timesteps, outputs):
        scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x, return_dict=False)[0]
    sigmas = getattr(scheduler, "sigmas", torch.empty(0))
    return dict(scheduler=name, steps=steps, config=config, choice=choice,
                timesteps=[float(t) for t in scheduler.timesteps], sigmas=[float(s) for s in sigmas],
                init_noise_sigma=float(scheduler.init_noise_sigma), start=start.flatten().tolist(),
                outputs=outputs.reshape(steps, SIZE).tolist(), noise=noise.reshape(steps, SIZE).tolist(),
                last=x.flatten().tolist())


def sgm_run(steps):
    betas = torch.linspace(BASE["beta_start"] ** 0.5, BASE["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    logs = ((1 - alphas) / alphas).sqrt().log()
    times = torch.linspace(999, 0, steps + 1, dtype=torch.float64)[:-1]
    low, part = times.floor().long(), times.frac()
    sigmas = torch.cat([((1 - part) * logs[low] + part * logs[(low + 1).clamp(max=999)]).exp(), torch.zeros(1)])
    start, outputs = numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    x = start.double() * sigmas[0]
    for i in range(steps):
        # With epsilon prediction, (x − x₀)/σ is the prediction itself.
        x = x + outputs[i].double() * (sigmas[i + 1] - sigmas[i])
    return dict(scheduler="EulerDiscreteScheduler", steps=steps, config=BASE, choice=dict(sgm=True),
                timesteps=times.tolist(), sigmas=sigmas.tolist(), init_noise_sigma=float(sigmas[0]),
                start=start.flatten().tolist(), outputs=outputs.reshape(steps, SIZE).tolist(),
                noise=numbers(3, steps, SIZE).tolist(), last=x.flatten().tolist())


runs = []
for spacing in ["leading", "linspace", "trailing"]:
    for final in ["zero", "sigma_min"]:
        choice = dict(spacing=spacing, final=final)
        config = BASE | dict(timestep_spacing=spacing)
        for steps in [4, 17]:
            runs.append(diffusers_run("EulerDiscreteScheduler", steps, config | dict(final_sigmas_type=final), choice))
            runs.append(diffusers_run("DPMSolverMultistepScheduler", steps, config | dict(final_sigmas_type=final), choice))
        ddim = config | dict(set_alpha_to_one=final == "zero", clip_sample=False)
        runs.append(diffusers_run("DDIMScheduler", 7, ddim, choice))
    runs.append(diffusers_run("EulerAncestralDiscreteScheduler", 5, BASE | dict(timestep_spacing=spacing),
                              dict(spacing=spacing)))
runs += [sgm_run(steps) for steps in [1, 4, 7]]
with open(sys.argv[1], "w") as file:
    json.dump(dict(diffusers=diffusers.__version__, runs=runs), file, separators=(",", ":"))
    file.write("\n")
