"""Trains one network, on a GPU or a processor; resumable.

The rate rises for `--warm-up` steps, stays, and in the last `--cool-down` share of the run falls to zero. Weights are averaged over
the run (`ema` of the state). State is saved every minute and at the end; the same command goes on with it.
"""

import json
import os
import time

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def arguments(parser, minutes, rate):
    parser.add_argument("--state", required=True, help="folder of the resumable state")
    parser.add_argument("--minutes", type=float, default=minutes, help="length of this run")
    parser.add_argument("--cool-down", type=float, default=0.0, help="share of this run in which the learning rate falls to zero")
    parser.add_argument("--warm-up", type=int, default=150, help="steps in which the rate rises")
    parser.add_argument("--rate", type=float, default=rate)


def adam(model, rate):
    """The optimizers of a model; all follow one schedule of the learning rate."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)]


def save(path, model, ema, opts, steps, minutes):
    torch.save(dict(model=model.state_dict(), ema=ema.state_dict(), opt=[opt.state_dict() for opt in opts], steps=steps, minutes=minutes), path + ".tmp")
    os.rename(path + ".tmp", path)


def train(make_model, loss_of, a, optimizers=adam, rate_factors=lambda model: {}):
    """`loss_of(model)` gives a loss and a metric, both tensors.

    `rate_factors(model)` gives, for some parameters, a part of it and the factor of its learning rate.
    """
    os.makedirs(a.state, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    model, ema = make_model().to(DEVICE), make_model().to(DEVICE).requires_grad_(False)
    ema.load_state_dict(model.state_dict())
    opts, steps, before = optimizers(model, a.rate), 0, 0.0
    path = f"{a.state}/state.pt"
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False, map_location=DEVICE)
        model.load_state_dict(saved["model"]), ema.load_state_dict(saved["ema"])
        steps, before = saved["steps"], saved["minutes"]
        for opt, state in zip(opts, saved["opt"]):
            opt.load_state_dict(state)
    print(sum(p.numel() for p in model.parameters()) / 1e6, "M parameters, from step", steps, flush=True)
    loss_of(model)[0].backward()  # compiles, before the clock starts
    parameters, averaged = list(model.parameters()), list(ema.parameters())
    trained, slow = [p for p in parameters if p.requires_grad], rate_factors(model)
    start = saved_at = time.time()
    total, counted, first = torch.zeros((), device=DEVICE), 0, steps
    while (gone := (time.time() - start) / 60) < a.minutes:
        rate = a.rate * min(1.0, (steps - first + 1) / a.warm_up)
        if a.cool_down:
            rate *= min(1.0, (1 - gone / a.minutes) / a.cool_down)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = rate
        loss, metric = loss_of(model)
        for p in trained:
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        with torch.no_grad():
            kept = {p: p[part].clone() for p, (part, _) in slow.items()}
            for opt in opts:
                opt.step()
            for p, (part, factor) in slow.items():
                p[part] = torch.lerp(kept[p], p[part], factor)
            steps, counted = steps + 1, counted + 1
            total += metric
            torch._foreach_lerp_(averaged, parameters, 1 - min(0.999, (1 + steps) / (10 + steps)))
        if counted == 100:
            point = (steps, round(before + gone, 2), total.item() / counted, steps * a.batch)
            with open(f"{a.state}/curve.jsonl", "a") as f:
                f.write(json.dumps(point) + "\n")
            print(f"steps {steps} samples {point[3]} {point[1]} min  {point[2]:.5f}  {(steps - first) / (time.time() - start):.2f} steps/s  lr {rate:.1e}", flush=True)
            counted = 0
            total.zero_()
        if time.time() - saved_at > 60:
            save(path, model, ema, opts, steps, before + gone)
            saved_at = time.time()
    save(path, model, ema, opts, steps, before + a.minutes)
