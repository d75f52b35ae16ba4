"""The mode: meta-gradients of whole nets through it, and what it leaves to torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import batch_norm, cross_entropy

from metabalance.meta import MetaGradient
from metabalance.meta.second_order import REPLACEMENTS, FastSecondDerivatives
from tests.meta.conftest import CLASSES, META_STEPS, Case
from tests.meta.derivatives import assert_equal, derivatives, random

INNER_LR, BETA = 0.3, 0.4


def strided() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 3, 2)
    )


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), nn.Tanh(), nn.Conv2d(4, 4, 3, groups=4)
    )


def transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=3),
        nn.BatchNorm2d(4, momentum=None),
        nn.Tanh(),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(2, track_running_stats=False),
    )


def padded() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(3, affine=False),
        nn.Conv2d(3, 2, 5, padding="same"),
    )


def other_dimensions() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 3, 4, stride=2),
        nn.BatchNorm1d(3),
        nn.Tanh(),
        nn.ConvTranspose1d(3, 2, 2),
        nn.Unflatten(1, (1, 2)),
        nn.Unflatten(3, (3, -1)),
        nn.Conv3d(1, 2, 2),
        nn.BatchNorm3d(2),
        nn.ConvTranspose3d(2, 1, 2),
    )


def half_frozen() -> nn.Module:
    net = strided()
    net[0].requires_grad_(False)
    net[1].bias.requires_grad_(False)
    return net


NETS = (strided, grouped, transposed, padded, other_dimensions, half_frozen)


def case_of(net: Callable[[], nn.Module], rows: int = 4, side: int = 6) -> Case:
    """A net in float64 with a linear head, and batches of images with two channels."""

    def batch(seed: int) -> tuple[Tensor, Tensor]:
        images = random(META_STEPS, rows, 2, side, side, seed=seed, requires_grad=False)
        generator = torch.Generator().manual_seed(seed)
        return images, torch.randint(CLASSES, (META_STEPS, rows), generator=generator)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = net().double()
        width = body(batch(0)[0][0]).flatten(1).shape[1]
        body.apply(lambda m: m.reset_running_stats() if isinstance(m, nn.modules.batchnorm._BatchNorm) else 0)
        model = nn.Sequential(body, nn.Flatten(), nn.Linear(width, CLASSES)).double()
    return Case(model, cross_entropy, batch(1), batch(2))


def gradients_of(case: Case) -> dict[str, Tensor]:
    case.model.zero_grad()
    meta = MetaGradient(
        case.model, case.loss_fn, inner_lr=INNER_LR, beta=BETA, engine="loop", reduction="sum"
    )
    meta.backward(case.support, case.query)
    return {name: p.grad for name, p in case.trainable().items()}


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_meta_gradients_are_those_of_plain_autograd(net):
    case = case_of(net)
    exact, first = case.reference(INNER_LR, BETA), case.reference(INNER_LR, BETA, "first")
    assert any((exact[name] - first[name]).norm() > 1e-2 * first[name].norm() for name in exact)
    found = gradients_of(case)
    assert found.keys() == exact.keys()
    for name, expected in exact.items():
        torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("net", [strided, transposed], ids=lambda net: net.__name__)
def test_running_statistics_move_as_without_the_mode(net):
    case, plain = case_of(net), case_of(net)
    gradients_of(case)
    params = plain.trainable()
    for s in range(META_STEPS):
        at = params
        for (images, labels), last in ((plain.support, False), (plain.query, True)):
            loss = cross_entropy(functional_call(plain.model, at, (images[s],)), labels[s])
            if not last:
                gradients = torch.autograd.grad(loss, list(params.values()))
                at = {n: p - INNER_LR * g for (n, p), g in zip(params.items(), gradients, strict=True)}
    found, expected = dict(case.model.named_buffers()), dict(plain.model.named_buffers())
    assert expected["0.1.num_batches_tracked"] == 2 * META_STEPS
    for name, buffer in expected.items():
        torch.testing.assert_close(found[name], buffer, rtol=0, atol=1e-12)


def low_precision(case: Case) -> Case:
    case.model.float()
    case.support, case.query = ((images.float(), labels) for images, labels in (case.support, case.query))
    return case


@pytest.mark.parametrize("net", [strided, transposed], ids=lambda net: net.__name__)
def test_gradients_under_bfloat16_autocast_are_close_to_float32s(net):
    case = low_precision(case_of(net, rows=16))
    full = gradients_of(case)
    with torch.autocast("cpu", torch.bfloat16):
        half = gradients_of(case)
    assert {g.dtype for g in half.values()} == {torch.float32}
    one, other = (torch.cat([g.flatten() for g in found.values()]) for found in (full, half))
    assert torch.cosine_similarity(one, other, dim=0) > 0.99


def test_autocast_keeps_no_casts_of_adapted_parameters():
    seen: list[StorageWeakRef] = []

    class Watched(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(StorageWeakRef(self.weight.untyped_storage()))
            return super().forward(x)

    case = low_precision(case_of(strided))
    case.model[2] = Watched(case.model[2].in_features, CLASSES)
    own = StorageWeakRef(case.model[2].weight.untyped_storage())
    with torch.autocast("cpu", torch.bfloat16):
        gradients_of(case)
        adapted = [storage for storage in seen if storage != own]
        assert len(adapted) == META_STEPS
        assert all(storage.expired() for storage in adapted)


def test_channels_last_models_and_images_have_the_same_gradient():
    case = case_of(strided)
    expected = gradients_of(case)
    case.model.to(memory_format=torch.channels_last)

    def turned(images: Tensor) -> Tensor:
        return images.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, images.shape[:2])

    case.support, case.query = ((turned(images), labels) for images, labels in (case.support, case.query))
    assert case.support[0][0].is_contiguous(memory_format=torch.channels_last)
    for name, gradient in gradients_of(case).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-10)
        assert gradient.stride() == case.model.get_parameter(name).stride()


def replaced(output: Tensor) -> bool:
    """Whether the last operation was not torch's own."""
    return type(output.grad_fn).__name__ in ("_ConvolutionBackward", "_BatchNormBackward")


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(3, 2, 2),
        nn.Conv2d(3, 2, 2),
        nn.Conv3d(3, 2, 2),
        nn.ConvTranspose1d(3, 2, 2),
        nn.ConvTranspose2d(3, 2, 2),
        nn.ConvTranspose3d(3, 2, 2),
        nn.BatchNorm1d(3),
        nn.BatchNorm2d(3),
        nn.BatchNorm3d(3),
        nn.SyncBatchNorm(3),
        nn.LazyConv2d(2, 2),
    ],
    ids=lambda module: type(module).__name__,
)
def test_modules_are_reached_for_as_long_as_the_context_lasts(module):
    dimensions = next((int(c) for c in type(module).__name__ if c.isdigit()), 2)
    x = torch.randn(2, 3, *[4] * dimensions)
    with FastSecondDerivatives():
        assert replaced(module(x))
        with torch.no_grad():
            assert module(x).grad_fn is None
        with torch.inference_mode():
            assert not module(x).requires_grad
        module.requires_grad_(False)
        assert module(x).grad_fn is None
        assert replaced(module(x.requires_grad_()))
    assert module(x).grad_fn is not None
    assert not replaced(module(x))


def test_what_needs_no_gradient_never_meets_a_replacement(monkeypatch):
    calls = []
    monkeypatch.setitem(REPLACEMENTS, torch.conv2d, lambda *_: calls.append("conv2d"))
    x, weight = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 2, 2)
    with FastSecondDerivatives():
        torch.conv2d(x, weight)
        with torch.no_grad():
            torch.conv2d(x, weight.requires_grad_())
        assert calls == []
        assert torch.conv2d(x, weight).requires_grad  # None leaves the call to torch
    assert calls == ["conv2d"]


@pytest.mark.parametrize("order", ["exact", "first"])
def test_the_loop_uses_it_where_it_differentiates_twice(order):
    seen = []

    class Watched(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            output = super().forward(x)
            seen.append(replaced(output))
            return output

    case = case_of(lambda: Watched(2, 2, 3))
    seen.clear()
    MetaGradient(case.model, case.loss_fn, inner_lr=INNER_LR, order=order, engine="loop").backward(
        case.support, case.query
    )
    assert seen == [order == "exact", False] * META_STEPS


def test_arguments_may_be_given_by_keyword():
    x, weight = random(2, 4, 5, 5, seed=1), random(4, 4, 3, 3, seed=2)
    with FastSecondDerivatives():
        assert replaced(torch.conv2d(input=x, weight=weight, padding=1))
        assert replaced(torch.conv_transpose2d(weight=weight, input=x, dilation=2))
        ones = torch.ones(4).double()
        assert replaced(
            batch_norm(x, running_mean=None, running_var=None, training=True, weight=ones, bias=ones)
        )


def test_unbatched_inputs_are_right():
    x, weight, bias = random(4, 6, 5, seed=1), random(6, 2, 3, 3, seed=2), random(6, seed=3)

    def calls(*tensors: Tensor) -> Tensor:
        return torch.conv2d(*tensors, stride=2, padding=1, groups=2)

    with FastSecondDerivatives():
        found = derivatives(calls, x, weight, bias)
    assert not replaced(found[0])
    assert_equal(found, derivatives(calls, x, weight, bias))


def test_complex_numbers_are_left_to_torch():
    x, weight = torch.complex(random(2, 3, 5), random(2, 3, 5, seed=1)), random(2, 3, 2, seed=2).cfloat()
    x = x.cfloat()
    with FastSecondDerivatives():
        output = torch.conv1d(x, weight)
    torch.testing.assert_close(output, torch.conv1d(x, weight))
    assert output.requires_grad
    assert not replaced(output)


def test_whole_numbers_are_left_to_torch():
    x, weight = torch.arange(10).view(1, 1, 10), torch.tensor([[[1, 2]]])
    with FastSecondDerivatives():
        assert torch.equal(torch.conv1d(x, weight), torch.conv1d(x, weight))
        with pytest.raises(RuntimeError, match="type"):
            torch.conv1d(x, weight.float().requires_grad_())


def test_tensor_subclasses_are_left_to_torch():
    class Tagged(Tensor):
        pass

    images = torch.randn(2, 3, 5, 5)
    with FastSecondDerivatives():
        for module in (nn.Conv2d(3, 2, 2), nn.ConvTranspose2d(3, 2, 2), nn.BatchNorm2d(3)):
            output = module(images.as_subclass(Tagged))
            assert type(output) is Tagged
            assert not replaced(output)


def test_transforms_of_torch_func_are_left_to_torch():
    images, module = torch.randn(2, 3, 5, 5), nn.Conv2d(3, 2, 2)

    def loss(weight: Tensor, image: Tensor) -> Tensor:
        return torch.conv2d(image[None], weight).square().sum()

    with FastSecondDerivatives():
        found = torch.func.vmap(torch.func.grad(loss), (None, 0))(module.weight, images)
    expected = torch.stack([torch.autograd.grad(loss(module.weight, i), module.weight)[0] for i in images])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("module", "images", "message"),
    [
        (nn.BatchNorm2d(3), (1, 3, 1, 1), "Expected more than 1 value per channel when training"),
        (nn.BatchNorm2d(5), (4, 3, 2, 2), "should contain 3 elements not 5"),
        (nn.BatchNorm2d(2, track_running_stats=False), (4, 3, 2, 2), "should contain 3 elements not 2"),
        (nn.Conv2d(2, 4, 3), (2, 3, 5, 5), "to have 2 channels, but got 3 channels"),
        (nn.Conv2d(3, 4, 6), (2, 3, 5, 5), "Kernel size can't be greater than actual input size"),
    ],
)
def test_errors_are_torchs(module, images, message):
    with FastSecondDerivatives(), pytest.raises((ValueError, RuntimeError), match=message):
        module(torch.randn(images))
