"""The Python side of benchmarks/against-python.sh: each case in a process of its own, started by compare.py.

    against.py prepare FOLDER               write the weights and the batches that both sides start from
    against.py check FOLDER [DEVICE]        print the libtorch, and the losses of the first steps from there for both networks
    against.py CASE SECONDS [DEVICE]        print one JSON line

The training step is PyTorch at its best: gradients set to none, clip_grad_norm_, the fused AdamW where this torch has it for the device and
the foreach one elsewhere, the average by _foreach operators (diffusers' EMAModel takes a Python loop over the parameters), the schedule in
tables.
"""
import json
import os
import sys
import time

import torch

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
LEARNING_RATE = 1e-4
EMA_DECAY = 0.999
STEPS = 1000
WIDTH = 96


class Schedule:
    def __init__(self, device):
        betas = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
        bars = torch.cumprod(1.0 - betas, 0)
        self.alpha = bars.sqrt().float().to(device)
        self.sigma = (1.0 - bars).sqrt().float().to(device)

    def noised(self, x0, t, noise):
        shape = (-1,) + (1,) * (x0.dim() - 1)
        return self.alpha[t].view(shape) * x0 + self.sigma[t].view(shape) * noise


def adamw(parameters):
    try:
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0, foreach=True)


class Training:
    def __init__(self, model, predict):
        self.model = model.train()
        self.device = next(model.parameters()).device
        self.predict = predict
        self.parameters = list(model.parameters())
        self.schedule = Schedule(self.device)
        self.optimizer = adamw(self.parameters)
        self.average = [p.detach().clone() for p in self.parameters]

    def loss(self, x0, t, noise):
        return torch.nn.functional.mse_loss(self.predict(self.schedule.noised(x0, t, noise), t), noise)

    def step(self, x0, t=None, noise=None):
        if t is None:
            t = torch.randint(0, STEPS, (x0.shape[0],), device=self.device)
            noise = torch.randn_like(x0)
        loss = self.loss(x0, t, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_mul_(self.average, EMA_DECAY)
            torch._foreach_add_(self.average, self.parameters, alpha=1.0 - EMA_DECAY)
        return loss

    def use_average(self):
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average):
                parameter.copy_(average)


class MlpLayer(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear_1 = torch.nn.Linear(width, width)
        self.time_emb_proj = torch.nn.Linear(width, width)
        self.linear_2 = torch.nn.Linear(width, width)

    def forward(self, hidden, embedding):
        silu = torch.nn.functional.silu
        return hidden + self.linear_2(silu(self.linear_1(silu(hidden)) + self.time_emb_proj(embedding)))


class Mlp(torch.nn.Module):
    """MlpDenoiser of the library, by hand, with the same names."""

    def __init__(self, width=WIDTH, frequencies=6):
        super().__init__()
        self.linear_in = torch.nn.Linear(2 * (1 + 2 * frequencies), width)
        self.time_embedding = torch.nn.Module()
        self.time_embedding.linear_1 = torch.nn.Linear(width, width)
        self.time_embedding.linear_2 = torch.nn.Linear(width, width)
        self.layers = torch.nn.ModuleList(MlpLayer(width) for _ in range(3))
        self.linear_out = torch.nn.Linear(width, 2)
        self.register_buffer("time_frequencies", 10_000.0 ** (-torch.arange(width // 2) / (width // 2)), persistent=False)
        self.register_buffer("frequencies", torch.pi * 2.0 ** torch.arange(frequencies), persistent=False)

    def forward(self, x, t):
        silu = torch.nn.functional.silu
        angles = t[:, None] * self.time_frequencies
        encoded = torch.cat([angles.cos(), angles.sin()], 1)
        embedding = silu(self.time_embedding.linear_2(silu(self.time_embedding.linear_1(encoded))))
        # [B, 2 x frequencies x features]: sin and cos of each frequency, as the library orders them.
        angles = x[:, None] * self.frequencies[:, None]
        features = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
        hidden = self.linear_in(torch.cat([x, features], 1))
        for layer in self.layers:
            hidden = layer(hidden, embedding)
        return self.linear_out(silu(hidden))


def unet(folder=None):
    from diffusers.models import UNet2DModel

    if folder is not None:
        return UNet2DModel.from_pretrained(f"{folder}/unet", low_cpu_mem_usage=False)
    return UNet2DModel(
        sample_size=32,
        in_channels=3,
        out_channels=3,
        block_out_channels=(64, 128, 128),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=32,
        attention_head_dim=8,
    )


def unet_training(device, folder=None):
    model = unet(folder).to(device)
    return Training(model, lambda x, t: model(x, t, return_dict=False)[0]), (16, 3, 32, 32)


def mlp_training(device):
    model = Mlp().to(device)
    return Training(model, model), (128, 2)


def prepare(folder):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    unet().save_pretrained(f"{folder}/unet")
    save_file(dict(Mlp().state_dict()), f"{folder}/mlp.safetensors")
    for name, shape in (("unet", (16, 3, 32, 32)), ("mlp", (128, 2))):
        batches = {}
        for step in range(4):
            batches[f"x0.{step}"] = torch.randn(shape).clamp(-1, 1)
            batches[f"noise.{step}"] = torch.randn(shape)
            batches[f"t.{step}"] = torch.randint(0, STEPS, shape[:1])
        save_file(batches, f"{folder}/{name}-batches.safetensors")


def library():
    """The file of the loaded libtorch."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        return next(line.split(maxsplit=5)[5].strip() for line in maps if "libtorch_cpu" in line)


def check(folder, device):
    """The losses of three steps, and that of the averaged weights on a fourth batch."""
    from safetensors.torch import load_file

    print(json.dumps({"version": torch.__version__.split("+")[0], "library": library()}))
    for name in ("unet", "mlp"):
        training, _ = unet_training(device, folder) if name == "unet" else mlp_training(device)
        if name == "mlp":
            training.model.load_state_dict(load_file(f"{folder}/mlp.safetensors", device=str(training.device)))
            training.average = [p.detach().clone() for p in training.parameters]
        batches = load_file(f"{folder}/{name}-batches.safetensors", device=device)
        draws = [(batches[f"x0.{k}"], batches[f"t.{k}"], batches[f"noise.{k}"]) for k in range(4)]
        losses = [training.step(*draw).item() for draw in draws[:3]]
        training.use_average()
        with torch.no_grad():
            losses.append(training.loss(*draws[3]).item())
        print(json.dumps({"case": name, "parameters": sum(p.numel() for p in training.parameters), "losses": losses}))


def wait(device):
    if device != "cpu":
        torch.cuda.synchronize()


def timed(action, seconds, device, warm_ups=2):
    """Milliseconds of each call, until they add up to some seconds."""
    for _ in range(warm_ups):
        action()
    times = []
    wait(device)
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        action()
        wait(device)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def training_case(training, shape, seconds):
    x0 = torch.randn(shape, device=training.device)
    return timed(lambda: training.step(x0), seconds, training.device.type)


def ddim(model, shape, device, steps=50):
    from diffusers.schedulers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    x = torch.randn(shape, device=device)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t, return_dict=False)[0], t, x, return_dict=False)[0]
    return x


def sampling_case(seconds, device):
    model = unet().eval().to(device)
    with torch.no_grad():
        ddim(model, (16, 3, 32, 32), device, steps=2)
        return timed(lambda: ddim(model, (16, 3, 32, 32), device), seconds, device, warm_ups=0)


def steps(training, shape, count):
    x0 = torch.randn(shape, device=training.device)
    for _ in range(count):
        loss = training.step(x0)
    loss.item()
    print("[]", flush=True)


def main(case, argument, device="cpu"):
    torch.set_num_threads(THREADS)
    if case == "prepare":
        prepare(argument)
    elif case == "check":
        check(argument, device)
    elif case == "unet-step":
        print(json.dumps(training_case(*unet_training(device), float(argument))))
    elif case == "mlp-step":
        print(json.dumps(training_case(*mlp_training(device), float(argument))))
    elif case == "ddim":
        print(json.dumps(sampling_case(float(argument), device)))
    elif case == "unet-steps":
        steps(*unet_training(device), int(argument))
    elif case == "mlp-steps":
        steps(*mlp_training(device), int(argument))
    else:
        raise SystemExit(f"against.py: unknown case '{case}'")


if __name__ == "__main__":
    main(*sys.argv[1:])
