import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from metabalance.meta import MetaGradient
from metabalance.nn import CrossEntropy
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.training import ERM, MetaBalance, TrainingLoop, resolve_device


def data(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator)
    return x, (x[:, 0] + 0.3 * torch.randn(n, generator=generator) > 1).long()


def loop_for(rule, module, **options):
    return TrainingLoop(module, rule=rule, n_rows=200, verbose=0, **{"max_epochs": 2, "lr": 0.1, **options})


def test_plain_sgd_is_what_the_loop_does() -> None:
    x, y = data()
    stream, same_stream = (BatchStream(x, y, batch_size=100, random_state=0) for _ in range(2))
    module, by_hand = nn.Linear(3, 2), nn.Linear(3, 2)
    by_hand.load_state_dict(module.state_dict())
    loop = loop_for(ERM(module, CrossEntropy(), stream), module, optimizer=torch.optim.SGD).train()
    for _ in range(82):  # 2 epochs of at least 4,096 rows in batches of 100
        xb, yb = same_stream.draw()
        gradients = torch.autograd.grad(nn.functional.cross_entropy(by_hand(xb), yb), by_hand.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    assert loop.budget_.rows_drawn == 8200
    for one, other in zip(module.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_metabalance_without_inner_step_trains_on_the_query_stream() -> None:
    x, y = data()
    options = {"support": "natural", "query": "over", "support_batch_size": 30, "query_batch_size": 20}
    stream, same_stream = (MetaBatchStream(x, y, meta_steps=4, random_state=0, **options) for _ in range(2))
    module, by_hand = nn.Linear(3, 2), nn.Linear(3, 2)
    by_hand.load_state_dict(module.state_dict())
    rule = MetaBalance(MetaGradient(module, CrossEntropy(), inner_lr=0.0), stream)
    loop = loop_for(rule, module, optimizer=torch.optim.SGD, max_epochs=1).train()
    updates = loop.budget_.rows_drawn // 200
    for _ in range(updates):
        _, (z, t) = same_stream.draw()
        losses = nn.functional.cross_entropy(by_hand(z.flatten(0, 1)), t.flatten())
        gradients = torch.autograd.grad(losses, by_hand.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    for one, other in zip(module.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_skorch_callbacks_see_every_batch_and_epoch() -> None:
    class Count(Callback):
        def initialize(self):
            self.batches, self.epochs, self.gradients = 0, 0, 0
            return self

        def on_batch_end(self, net, **kwargs):
            self.batches += 1

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

        def on_grad_computed(self, net, named_parameters, **kwargs):
            self.gradients += all(p.grad is not None for _, p in named_parameters)

    x, y = data()
    module, count = nn.Linear(3, 2), Count()
    rule = ERM(module, CrossEntropy(), BatchStream(x, y, batch_size=1024, random_state=0))
    loop = loop_for(rule, module, callbacks=[count]).train()
    seen = dict(loop.callbacks_)["Count"]
    assert (seen.batches, seen.epochs, seen.gradients) == (8, 2, 8)
    assert loop.history[1, "train_loss"] < loop.history[0, "train_loss"]


class Follow(Callback):
    """Looks at single batches, which makes skorch run its own loop over them."""

    def on_batch_begin(self, net, **kwargs):
        self.seen = len(net.history[-1, "batches"])


def test_the_history_is_skorchs_whether_or_not_batches_are_followed() -> None:
    x, y = data()
    modules = nn.Linear(3, 2), nn.Linear(3, 2)
    modules[1].load_state_dict(modules[0].state_dict())
    histories = []
    for module, callbacks in zip(modules, ([Follow()], []), strict=True):
        rule = ERM(module, CrossEntropy(), BatchStream(x, y, batch_size=100, random_state=0))
        history = loop_for(rule, module, callbacks=callbacks).train().history
        histories.append([{**epoch, "dur": None} for epoch in history])
    followed, unfollowed = histories
    assert followed == unfollowed
    assert len(unfollowed[0]["batches"]) == unfollowed[0]["train_batch_count"] == 41
    losses = [batch["train_loss"] for batch in unfollowed[1]["batches"]]
    assert unfollowed[1]["train_loss"] == pytest.approx(sum(losses) / 41)


def test_every_step_trains_even_where_a_callback_evaluates() -> None:
    class Evaluate(Callback):
        def on_batch_end(self, net, **kwargs):
            net.module_.eval()

    modes = []

    class Rule(ERM):
        def backward(self, batch):
            modes.append(self.module[1].training)
            return super().backward(batch)

    x, y = data()
    for callbacks in ([], [Evaluate()]):
        module = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1)).eval()
        rule = Rule(module, CrossEntropy(), BatchStream(x, y, batch_size=1024, random_state=0))
        loop_for(rule, module, callbacks=callbacks).train()
    assert modes == [True] * 16


class Turned(nn.Module):
    """A linear layer whose weight gets a gradient with other strides than its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 6).reshape(3, 2))

    def forward(self, x):
        return nn.functional.linear(x, self.weight.t().contiguous())


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_fused_optimizers_step_by_the_gradient_of_each_parameter(optimizer) -> None:
    x, y = data()
    stepped = []
    for fused in (False, True):
        module = Turned()
        meta = MetaGradient(module, CrossEntropy(), inner_lr=0.5)
        rule = MetaBalance(meta, MetaBatchStream(x, y, meta_steps=2, random_state=0))
        loop_for(rule, module, optimizer=optimizer, optimizer__fused=fused).train()
        stepped.append(module.weight)
    assert stepped[1].grad.stride() == stepped[1].stride()
    torch.testing.assert_close(stepped[1], stepped[0])


def test_breaking_off_is_remembered() -> None:
    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    x, y = data()
    module = nn.Linear(3, 2)
    rule = ERM(module, CrossEntropy(), BatchStream(x, y, batch_size=64, random_state=0))
    assert loop_for(rule, module, callbacks=[Stop()]).train().interrupted_
    assert not loop_for(rule, module).train().interrupted_


def test_an_epoch_that_is_broken_off_keeps_its_losses() -> None:
    class StopAtTheThird(ERM):
        drawn = 0

        def draw(self):
            self.drawn += 1
            if self.drawn == 3:
                raise KeyboardInterrupt
            return super().draw()

    x, y = data()
    module = nn.Linear(3, 2)
    rule = StopAtTheThird(module, CrossEntropy(), BatchStream(x, y, batch_size=64, random_state=0))
    loop = loop_for(rule, module).train()
    assert loop.interrupted_
    assert [batch["train_batch_size"] for batch in loop.history[-1, "batches"]] == [64, 64]
    assert all(batch["train_loss"] > 0 for batch in loop.history[-1, "batches"])


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda"}
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or 'cuda', got 'tpu9'"):
        resolve_device("tpu9")
    with pytest.raises(ValueError, match="device='meta' is not one that torch computes on here"):
        resolve_device("meta")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="CUDA is not available"):
            resolve_device("cuda")


@pytest.mark.parametrize("groups", [None, [("0.weight", {"weight_decay": 0.5})]])
def test_weight_decay_spares_biases_and_norms(groups) -> None:
    """With gradients of zero, a step of SGD moves what is decayed by lr · weight_decay and nothing else."""
    x, y = data()
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.0)
    rule = ERM(
        module, lambda output, target: 0 * output.sum(), BatchStream(x, y, batch_size=4096, random_state=0)
    )
    options = {} if groups is None else {"optimizer__param_groups": groups}
    loop_for(
        rule, module, optimizer=torch.optim.SGD, max_epochs=1, optimizer__weight_decay=0.1, **options
    ).train()
    found = {name: parameter.mean().item() for name, parameter in module.named_parameters()}
    decayed = {"0.weight": 0.99, "2.weight": 0.99} if groups is None else dict.fromkeys(found, 0.99)
    if groups is not None:
        decayed["0.weight"] = 0.95
    assert found == pytest.approx({name: decayed.get(name, 1.0) for name in found})
