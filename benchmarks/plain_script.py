"""What one would write in an afternoon: torch and Optuna, a training loop, the same score."""

import optuna
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Network(nn.Module):
    """The CVFP model as the report describes it."""

    def __init__(self, context: int, token: int, layers: int, mix: float) -> None:
        super().__init__()
        self.context, self.mix = context, mix
        width = context + token
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.norms = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(context), nn.LayerNorm(token)]) for _ in range(layers)
        )
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=0.1)
            nn.init.normal_(layer.bias, std=0.01)

    def forward(self, context: Tensor, token: Tensor) -> Tensor:
        for layer, norms in zip(self.layers, self.norms, strict=True):
            h = F.relu(layer(torch.cat([context, token], dim=-1)))
            context = context + h[..., : self.context]
            token = token + h[..., self.context :]
            context = torch.lerp(context, norms[0](context), self.mix)
            token = torch.lerp(token, norms[1](token), self.mix)
        return context


@torch.no_grad()
def read(network: Network, text: Tensor, state: Tensor) -> Tensor:
    """Read a text (T, E) token by token: (T, D)."""
    contexts = []
    for token in text:
        state = network(state, token)
        contexts.append(state)
    return torch.stack(contexts)


def search(
    text: Tensor,
    *,
    context: int,
    layers: int,
    iterations: int,
    epochs: int,
    batch: int,
    threshold: float,
    trials: int,
    seed: int,
) -> float:
    """Search weight, learning rate and mix by stock TPE; return the best score."""

    def objective(trial: optuna.Trial) -> float:
        weight = trial.suggest_float("dist_reg_weight", 0.1, 0.9)
        rate = trial.suggest_float("phase1_learning_rate", 0.0005, 0.005, log=True)
        mix = trial.suggest_float("layernorm_mix", 0.5, 1.0)
        torch.manual_seed(seed + trial.number)
        network = Network(context, text.shape[1], layers, mix)
        adam = torch.optim.Adam(network.parameters(), lr=rate)
        previous: Tensor | None = None
        state = torch.zeros(context)
        for iteration in range(iterations):
            start, contexts = state, read(network, text, state)
            state = contexts[-1]
            if not contexts.isfinite().all():
                raise optuna.TrialPruned
            if iteration == iterations - 1:
                break
            incoming = torch.cat([start.unsqueeze(0), contexts[:-1]])
            for _ in range(epochs):
                for chosen in torch.randperm(len(text)).split(batch):
                    new = network(incoming[chosen], text[chosen])
                    unit = F.normalize(new, dim=-1)
                    cosines = (unit @ unit.T).square()
                    off = cosines.sum() - cosines.diagonal().sum()
                    loss = weight * 10 * off / max(1, len(chosen) * (len(chosen) - 1))
                    if previous is not None:
                        loss = loss + (1 - weight) * F.mse_loss(new, previous[chosen])
                    adam.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                    adam.step()
            previous = contexts
        values = torch.linalg.svdvals(contexts.double())
        share = values / values.sum()
        rank = torch.exp(-torch.special.xlogy(share, share).sum()).item() / context
        assert previous is not None
        moved = (contexts - previous).square().mean(dim=-1)
        return 0.5 * (moved < threshold).float().mean().item() + 0.5 * rank

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    study.optimize(objective, n_trials=trials)
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    return study.best_value if done else float("nan")
