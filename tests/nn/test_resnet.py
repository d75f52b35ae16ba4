import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metabalance.meta import MetaGradient
from metabalance.nn import ResNet
from metabalance.nn.resnet import BasicBlock


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_defaults_are_resnet18_of_cifar() -> None:
    with torch.device("meta"):
        model = ResNet()
        assert parameters(model) == 11_173_962
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        assert parameters(ResNet(blocks=(3, 4, 6, 3))) == 21_282_122
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len([layer for layer in convolutions if layer.kernel_size == (3, 3)]) + 1 == 18
    assert all(layer.bias is None for layer in convolutions)


@pytest.mark.parametrize(
    ("options", "shape", "outputs"),
    [
        ({"width": 3}, (2, 3, 17, 32), 10),
        ({"width": 5, "n_outputs": 1}, (3, 3, 9, 9), 1),
        ({"width": 4, "in_channels": 1, "n_outputs": 4}, (2, 1, 28, 28), 4),
        ({"width": 4, "blocks": [1]}, (2, 3, 1, 5), 10),
        ({"width": 4, "blocks": (1, 3, 1)}, (2, 3, 7, 7), 10),
    ],
)
def test_odd_sizes_widths_and_grey_images(options: dict, shape: tuple, outputs: int) -> None:
    logits = ResNet(**options)(images(*shape))
    assert logits.shape == (shape[0], outputs)
    assert logits.isfinite().all()


def test_stages_double_the_channels_and_halve_the_image() -> None:
    model = ResNet(width=4, blocks=(1, 2, 1, 1))
    features, shapes = model.norm(model.stem(images(2, 3, 13, 10))), []
    for stage in model.stages:
        features = stage(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == [(4, 13, 10), (8, 7, 5), (16, 4, 3), (32, 2, 2)]


def test_a_block_adds_its_layers_to_its_input() -> None:
    x = images(2, 4, 5, 5)
    block = BasicBlock(4, 4, nn.BatchNorm2d)
    hidden = F.relu(F.batch_norm(F.conv2d(x, block.conv1.weight, padding=1), None, None, training=True))
    change = F.batch_norm(F.conv2d(hidden, block.conv2.weight, padding=1), None, None, training=True)
    torch.testing.assert_close(block(x), F.relu(x + change))
    narrow = BasicBlock(4, 6, nn.BatchNorm2d, stride=2)
    nn.init.zeros_(narrow.norm2.weight)
    shortcut = F.conv2d(x[:, :, ::2, ::2], narrow.shortcut[0].weight)
    torch.testing.assert_close(narrow(x), F.relu(F.batch_norm(shortcut, None, None, training=True)))


@pytest.mark.parametrize("size", [7, 8])
def test_a_shortcut_is_a_strided_convolution(size: int) -> None:
    block = BasicBlock(2, 4, nn.BatchNorm2d, stride=2).eval()
    x, (convolution, norm) = images(3, 2, size, size), block.shortcut
    with torch.no_grad():
        block.norm2.weight.zero_()  # nothing but the shortcut is left
        expected = norm(F.conv2d(x, convolution.weight, stride=2)).relu()
        torch.testing.assert_close(block(x), expected)


def test_large_channels_last_images_have_a_backward_pass() -> None:
    model = ResNet(width=8, blocks=(1, 1)).to(memory_format=torch.channels_last)
    model(images(128, 3, 56, 56).to(memory_format=torch.channels_last)).sum().backward()  # crashed in torch
    assert all(p.grad is not None for p in model.parameters())


def test_group_norm_looks_at_one_image_at_a_time() -> None:
    model, batch = ResNet(width=4, blocks=(1, 1), norm="group"), images(3, 3, 8, 8)
    torch.testing.assert_close(model(batch)[:1], model(batch[:1]))
    assert not [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert next(model.buffers(), None) is None


def test_a_cosine_head_gives_scaled_cosines() -> None:
    logits = ResNet(width=4, blocks=(1, 1), cosine_scale=30)(images(3, 3, 8, 8))
    assert logits.shape == (3, 10)
    assert 1 < logits.abs().max() <= 30 + 1e-4


def test_unknown_parts_are_named() -> None:
    with pytest.raises(ValueError, match=r"norm must be one of .*, got 'layer'"):
        ResNet(norm="layer")


def test_embeddings_are_what_the_last_layer_sees() -> None:
    model, batch = ResNet(width=4, blocks=(1, 1)), images(3, 3, 8, 8)
    embedded = model.embed(batch)
    assert embedded.shape == (3, 8)
    torch.testing.assert_close(model.head(embedded), model(batch))


def test_convolutions_start_from_he_initialisation() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = BasicBlock(64, 32, nn.BatchNorm2d, stride=2)
    assert block.conv1.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.03)
    assert block.shortcut[0].weight.std().item() == pytest.approx((2 / 32) ** 0.5, rel=0.06)


def test_a_meta_step_trains_every_parameter() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResNet(n_outputs=2, width=4, blocks=(1, 1))
    labels = torch.tensor([0, 1] * 4).repeat(2, 1)
    pair = images(2, 8, 3, 6, 6) + labels[:, :, None, None, None], labels
    meta = MetaGradient(model, F.cross_entropy, inner_lr=0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        losses.append(float(meta.backward(pair, pair).total))
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"blocks": 2}, TypeError, r"blocks must be a sequence such as \(2, 2, 2, 2\), got 2"),
        ({"blocks": ()}, ValueError, "blocks is empty: give the number of basic blocks of each stage"),
        ({"blocks": (2, 0)}, ValueError, "blocks must be whole numbers of at least 1, got 0"),
        ({"blocks": "22"}, ValueError, "blocks must be whole numbers of at least 1, got '2'"),
        ({"n_outputs": 0}, ValueError, "n_outputs must be whole numbers of at least 1, got 0"),
        ({"width": 2.5}, ValueError, "width must be whole numbers of at least 1, got 2.5"),
        ({"in_channels": True}, ValueError, "in_channels must be whole numbers of at least 1, got True"),
    ],
)
def test_wrong_sizes(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ResNet(**options)


def test_whole_numbers_may_be_numpys() -> None:
    model = ResNet(np.int64(3), blocks=[np.int32(1)], width=np.uint8(4))
    assert model(torch.zeros(2, 3, 5, 5)).shape == (2, 3)
