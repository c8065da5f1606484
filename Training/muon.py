"""Muon (Jordan et al., 2024): orthogonalised momentum for matrices and kernels, Adam for the other parameters.

Matrices of one shape are orthogonalised together.
"""

import torch

FAST_BFLOAT16 = torch.cuda.is_available() or torch.cpu.get_capabilities().get("avx512_bf16", False)  # elsewhere it is emulated, ten times slower


@torch.no_grad()
def orthogonal(g, steps=5):
    """The nearest (half-)orthogonal matrices of `g` [n, rows, columns], roughly, by a Newton-Schulz iteration, in bfloat16 where it is fast."""
    x = g.bfloat16() if FAST_BFLOAT16 else g
    wide = x.shape[1] <= x.shape[2]
    if not wide:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x if wide else x.mT).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Steps of `lr` in the mean square, as Adam's are at their beginning (Liu et al., 2025: 0.2 √max(m, n))."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault((len(p), p[0].numel()), []).append(p)
            for shape, parameters in alike.items():
                g = torch.stack([p.grad.reshape(shape) for p in parameters])
                state = self.state[parameters[0]]
                if not state:
                    state["momentum"] = torch.zeros_like(g)
                m = state["momentum"].lerp_(g, 1 - group["momentum"])
                update = orthogonal(g.lerp(m, group["momentum"])) * (0.2 * max(shape) ** 0.5)
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_sub_(parameters, [u.reshape(p.shape) for u, p in zip(update * group["lr"], parameters)])
