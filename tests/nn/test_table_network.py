import pytest
import torch
from torch.func import functional_call

from metabalance.meta import MetaGradient
from metabalance.nn import CosineLinear, CrossEntropy, MemberLoss, TableNetwork

BINS = [torch.linspace(-1, 1, 4), torch.linspace(-2, 2, 3)]


def network(**options) -> TableNetwork:
    torch.manual_seed(0)
    return TableNetwork(
        4, 1, numbers=[1, 3], **{"n_members": 3, "hidden_sizes": (5,), "dropout": 0.0, **options}
    )


KINDS = {
    "raw": {},
    "piecewise": {"bins": BINS},
    "periodic": {"periodic": True},
    "vectors": {"codes": {2: 7}, "bins": BINS},
}


def rows(count, *between):
    x = torch.randn(count, *between, 4)
    x[..., 2] = torch.randint(7, (count, *between)) / 7
    return x


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_nothing_that_is_learned_reaches_another_member(options) -> None:
    # Or else rows that a member holds out would have been trained on by what it uses.
    net = network(**options)
    for vectors in net.categories:
        torch.nn.init.normal_(vectors.weight)
    for x in (rows(6), rows(6, 3)):
        for member in range(3):
            found = torch.autograd.grad(net(x)[:, member].sum(), list(net.parameters()))
            of_others = [g.unflatten(0, (3, -1))[[m for m in range(3) if m != member]] for g in found]
            assert all((gradient == 0).all() for gradient in of_others)
            assert all((g.unflatten(0, (3, -1))[member] != 0).any() for g in found)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_members_are_networks_of_their_own(options) -> None:
    net = network(**options)
    x = rows(6)
    whole = net(x)
    assert whole.shape == (6, 3, 1)
    changed = {name: p.detach().clone() for name, p in net.named_parameters()}
    for name in changed:
        if name.startswith("members"):
            changed[name][1] += 1.0
    other = functional_call(net, changed, (x,))
    assert torch.equal(whole[:, [0, 2]], other[:, [0, 2]])
    assert (whole[:, 1] != other[:, 1]).all()


def test_numbers_are_what_is_encoded() -> None:
    net = network(bins=BINS)
    assert net.code(torch.tensor([[5.0, 0.0]])).tolist() == [[1.0, 1.0, 1.0, 1.0, 0.0]]
    x = torch.zeros(1, 4)
    seen = []
    net.code.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    net(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert seen[0].tolist() == [[2.0, 4.0]]
    assert net(x).shape == (1, 3, 1)


@pytest.mark.parametrize("options", [{"bins": BINS}, {"periodic": True}], ids=["piecewise", "periodic"])
def test_the_exact_gradient_is_the_same_in_every_engine(options) -> None:
    net = network(**options).double()
    support = torch.randn(3, 8, 4).double(), torch.randint(2, (3, 8))
    query = torch.randn(3, 6, 4).double(), torch.randint(2, (3, 6))
    loss, found = MemberLoss(CrossEntropy()), {}
    for engine in ("loop", "vectorized"):
        net.zero_grad()
        MetaGradient(net, loss, inner_lr=0.3, beta=0.5, engine=engine).backward(support, query)
        found[engine] = {name: p.grad.clone() for name, p in net.named_parameters()}
    for name, gradient in found["loop"].items():
        torch.testing.assert_close(found["vectorized"][name], gradient, rtol=1e-9, atol=1e-12)


def test_a_member_takes_the_inner_step_that_it_would_take_alone() -> None:
    net = network(bins=BINS)
    alone = network(bins=BINS, n_members=1)
    alone.load_state_dict(
        {name: p[1:2] if name.startswith("members") else p for name, p in net.state_dict().items()}
    )
    support, query = ((torch.randn(2, 8, 4), torch.randint(2, (2, 8))) for _ in range(2))
    for each in (net, alone):
        MetaGradient(each, MemberLoss(CrossEntropy()), inner_lr=0.3, beta=0.5).backward(support, query)
    for one, many in zip(alone.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one.grad[0], many.grad[1])


def test_categories_have_vectors_by_code() -> None:
    net = network(codes={2: 7}, bins=BINS).eval()
    assert net.categories[0].weight.shape == (3, 7, 16)
    assert (net.categories[0].weight == 0).all()  # a code that never occurs says nothing
    torch.nn.init.normal_(net.categories[0].weight)
    x = torch.zeros(7, 4)
    x[:, 2] = torch.arange(7) / 7
    seen = []
    net.members.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(x)
    torch.testing.assert_close(seen[0][..., -16:].transpose(0, 1), net.categories[0].weight)
    assert seen[0].shape == (7, 3, 3 + 5 + 16)  # the code itself is not among them


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_vectors_of_categories_learn_exactly(engine) -> None:
    net = network(codes={2: 5}, bins=BINS).double()
    torch.nn.init.normal_(net.categories[0].weight)
    x = torch.randn(2, 8, 4).double()
    x[..., 2] = torch.randint(5, (2, 8)) / 5
    y = torch.randint(2, (2, 8))
    meta = MetaGradient(net, MemberLoss(CrossEntropy()), inner_lr=0.3, beta=0.5, engine=engine)
    meta.backward((x, y), (x.flip(1), y.flip(1)))
    weight = net.categories[0].weight
    found, step = weight.grad[1, 2, 3].item(), 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2, 3] += sign * step
        net.zero_grad()
        losses = meta.backward((x, y), (x.flip(1), y.flip(1)))
        values.append(losses.query.item() + 0.5 * losses.support.item())
        with torch.no_grad():
            weight[1, 2, 3] -= sign * step
    assert found == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_each_member_may_get_rows_of_its_own(options) -> None:
    net = network(**options).eval()
    for vectors in net.categories:
        torch.nn.init.normal_(vectors.weight)
    x = rows(6, 3)
    own = net(x)
    for member in range(3):
        torch.testing.assert_close(own[:, member], net(x[:, member])[:, member])


def test_members_may_end_in_cosines_of_their_own() -> None:
    net = TableNetwork(3, 2, n_members=4, hidden_sizes=(5,), dropout=0, cosine_scale=30).double()
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, last = net.members[0], net.members[-1]
    for member, logits in enumerate(net(x).unbind(1)):
        features = torch.relu(x @ first.weight[member] + first.bias[member])
        head = CosineLinear(5, 2).double()
        head.weight.data = last.weight[member].T
        torch.testing.assert_close(logits, head(features))
