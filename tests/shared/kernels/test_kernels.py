"""The fused kernels against PyTorch's own operations: on a GPU, or in small shapes under Triton's interpreter."""

from collections import Counter
from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shared.data.sequence import IGNORED
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep, compute_dtype
from shared.generation.generate import generate
from shared.model import modeling_onedecoder
from shared.model.loss import cross_entropy_sum
from shared.model.masks import SequenceBounds, choose_mask, dense_mask, sequence_bounds
from shared.model.modeling_onedecoder import relative_scores
from shared.training.ema import ExponentialMovingAverage
from tests.shared.kernels.running import DEVICE, HALF, NEVER_ENDS, ON_GPU, cases, far

pytest.importorskip("triton", reason="Triton is not installed: pip install -e '.[dev]'")

from shared.kernels import decode as kernels
from shared.kernels import relative_attention as relative_kernel
from shared.kernels import sampling as sampling_kernel

pytestmark = [
    pytest.mark.usefixtures("kernels_run_here"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # of the interpreter's infinities
]


@pytest.fixture
def used(monkeypatch):
    """How often the kernels of decoding and of sampling were called, by name."""
    calls = Counter()

    def counted(name, kernel, *given, **named):
        calls[name] += 1
        return kernel(*given, **named)

    for module, name in ((kernels, "linear"), (kernels, "attend"), (sampling_kernel, "advance")):
        monkeypatch.setattr(module, name, partial(counted, name, getattr(module, name)))
    return calls


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (HALF, 1e-2)])
@pytest.mark.parametrize("rows", cases([1, 2, 17, 64], [1, 2, 17]))
@pytest.mark.parametrize(("width", "columns"), cases([(768, 2304), (3072, 768), (128, 1000)], [(96, 40)]))
def test_linear_is_norm_product_gelu_and_residual(dtype, tolerance, rows, width, columns):
    torch.manual_seed(rows)
    inputs, weight = torch.randn(rows, width).to(DEVICE), (torch.randn(columns, width).to(DEVICE) / 20).to(dtype)
    bias, residual = torch.randn(columns).to(DEVICE).to(dtype), torch.randn(rows, columns).to(DEVICE)
    norm = nn.LayerNorm(width).to(DEVICE)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    result = kernels.linear(inputs, weight, bias, norm, nn.GELU("tanh"), residual, torch.float32)
    product = F.linear(norm(inputs).to(dtype).double(), weight.double(), bias.double())
    assert far(result, F.gelu(product, approximate="tanh") + residual) < tolerance


@pytest.mark.parametrize(("relative_attention", "copy_attention"), cases([(0, 0), (37, 0), (0, 16)], [(5, 0), (0, 5)]))
@pytest.mark.parametrize(("rows", "num_beams"), cases(list(product([1, 4, 64], [1, 4])), [(1, 1), (4, 4)]))
def test_greedy_and_beams_write_what_is_written_in_float64(
    used, new_decoder, relative_attention, copy_attention, num_beams, rows
):
    vocabulary, context, width, layers = cases((500, 200, 128, 2), (20, 140, 16, 1))
    lengths, new_tokens = cases(((1, 5, 40, 17, 100, 3, 60, 22, 9, 33), 60), ((1, 130), 3))
    more = {"relative_attention": relative_attention, "copy_attention": copy_attention}
    decoder = new_decoder(vocabulary, context, n_layer=layers, n_embd=width, **more)
    for block in decoder.transformer.h if relative_attention else ():
        nn.init.normal_(block.attn.relative, std=0.3)
    torch.manual_seed(0)
    prompts = [torch.randint(1, vocabulary, (length,)).tolist() for length in lengths]
    settings = GenerationArguments(max_new_tokens=new_tokens, num_beams=num_beams, generation_batch_size=rows)
    expected = generate(decoder.double(), prompts, settings, NEVER_ENDS)
    assert generate(decoder.float().to(DEVICE), prompts, settings, NEVER_ENDS) == expected
    assert used["linear"] and used["attend"] and (used["advance"] > 0) == (num_beams == 1)


@pytest.mark.skipif(not ON_GPU, reason="takes minutes in the interpreter, on the kernels of the test above")
def test_writing_past_the_context_is_the_same(new_decoder):
    decoder, settings = new_decoder(50, 32, n_embd=64), GenerationArguments(max_new_tokens=99)
    expected = generate(decoder.double(), [[1, 2, 3]], settings, NEVER_ENDS, sliding=True)
    assert generate(decoder.float().to(DEVICE), [[1, 2, 3]], settings, NEVER_ENDS, sliding=True) == expected


@pytest.mark.parametrize("alpha", [0.0, 2.0], ids=["plain", "R-Drop"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_fused_loss_and_its_gradients(smoothing, alpha):
    """In float64 there is none."""
    torch.manual_seed(0)
    rows, vocabulary = cases((900, 20000), (40, 5000))
    states, weight = torch.randn(rows, 64, device=DEVICE), torch.randn(vocabulary, 64, device=DEVICE) / 8
    targets = torch.randint(0, vocabulary, (rows // 2,), device=DEVICE).repeat_interleave(2)
    targets[rows // 9 * 2 : rows // 9 * 3] = IGNORED
    results = []
    for dtype in (torch.float32, torch.float64):
        inputs = [tensor.to(dtype, copy=True).requires_grad_() for tensor in (states, weight)]
        total = cross_entropy_sum(*inputs, targets, smoothing, alpha)
        total.backward()
        results.append([total, *(tensor.grad for tensor in inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert far(ours.detach(), theirs.detach()) < 1e-4


def test_a_step_in_half_precision_is_near_the_modules(new_decoder):
    vocabulary, width, layers = cases((500, 128, 2), (50, 32, 1))
    decoder = new_decoder(vocabulary, context=64, n_embd=width, n_layer=layers).to(DEVICE).to(HALF)
    prompt = torch.randint(1, 50, (30,)).tolist()
    cache = KeyValueCache(decoder, 1, 64, compute_dtype(decoder))
    step = DecodeStep(decoder, cache)
    with torch.inference_mode():
        step.prefill({0: prompt})
        token, position = torch.tensor([prompt[-1]], device=DEVICE), torch.tensor([29], device=DEVICE)
        logits = step(token, position)
        ids = torch.tensor([prompt], device=DEVICE)
        expected = decoder.packed_logits(ids)[:, -1]
    assert far(logits, expected) < 3e-2


def rows_of(*rows):
    """Positions [B, T] of rows that hold sequences of these lengths."""
    return torch.stack([torch.cat([torch.arange(length) for length in row]) for row in rows]).to(DEVICE)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (HALF, 2e-2)])
@pytest.mark.parametrize("width", cases([16, 32, 64, 128], [16]))
@pytest.mark.parametrize(
    ("rows", "distances"),
    cases(
        [([[300]], 70), ([[64, 1, 1, 190], [256]], 256), ([[90, 10], [33, 67]], 200), ([[1] * 50, [50]], 2)],
        [([[60]], 12), ([[10, 1, 1, 28], [40]], 40), ([[1] * 20, [20]], 2)],
    ),
    ids=str,
)
def test_relative_attention_is_the_dense_one_and_so_are_its_gradients(dtype, tolerance, width, rows, distances):
    torch.manual_seed(0)
    positions, heads = rows_of(*rows), 2
    shape, scaling = (*positions.shape, heads, width), width**-0.5
    projected = torch.randn(*shape[:2], 3 * heads * width, device=DEVICE).to(dtype)
    embeddings = torch.randn(heads, distances, width, device=DEVICE).to(dtype)
    grad = torch.randn(shape, device=DEVICE).to(dtype)
    results = []
    for fused in (True, False):
        kind = dtype if fused else torch.float64
        inputs = [projected.to(kind, copy=True).requires_grad_(), embeddings.to(kind, copy=True).requires_grad_()]
        query, key, value = (part.view(shape).transpose(1, 2) for part in inputs[0].split(heads * width, 2))
        if fused:
            mixed = relative_kernel.relative_attention(
                query, key, value, inputs[1], *sequence_bounds(positions), scaling
            )
        else:
            scores = relative_scores(query, inputs[1], query.shape[2], scaling, dense_mask(positions))
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=scores, scale=scaling).transpose(1, 2)
        mixed.backward(grad.to(kind))
        results.append([mixed.detach(), *(tensor.grad for tensor in inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert far(ours, theirs) < tolerance


@pytest.mark.parametrize("whole", [False, True])
def test_a_relative_decoder_learns_as_the_dense_one(new_decoder, monkeypatch, whole):
    """On a GPU it is compiled."""
    length, width = cases((200, 128), (50, 32))
    decoder = new_decoder(vocab_size=500, context=200, n_embd=width, relative_attention=length // 5, spread=0.05)
    decoder = decoder.to(DEVICE).train()
    for block in decoder.transformer.h:
        nn.init.normal_(block.attn.relative, std=0.3)
    part = length // 5
    positions = rows_of([length], [length]) if whole else rows_of([2 * part, part, 2 * part], [1, length - 1])
    ids = torch.randint(0, 500, positions.shape, device=DEVICE)
    labels = ids.masked_fill(positions == 0, IGNORED)
    learned = (labels.flatten() != IGNORED).nonzero()[:, 0]

    def step(body, mask):
        decoder.zero_grad()
        with torch.autocast(DEVICE.type, HALF):
            states = body(ids, positions, mask).flatten(0, 1)[learned - 1]
            loss = cross_entropy_sum(states, decoder.lm_head.weight, labels.flatten()[learned]) / len(learned)
        loss.backward()
        relative = [block.attn.relative for block in decoder.transformer.h]
        gradients = (torch.cat([weight.grad.flatten() for weight in part]) for part in (decoder.parameters(), relative))
        return [loss.detach(), *gradients]

    expected = step(decoder.body, dense_mask(positions))

    def written_out(*_):
        raise AssertionError("scores of T x T")

    monkeypatch.setattr(modeling_onedecoder, "relative_scores", written_out)
    if ON_GPU:
        decoder.compile_body()
    mask = choose_mask(
        ids.shape,
        None if whole else positions,
        None,
        device=ids.device,
        dtype=torch.float32,
        width=decoder.transformer.h[0].attn.head_dim,
        relative=decoder.transformer.h[0].attn.relative,
        compiled=True,
    )
    assert isinstance(mask, SequenceBounds)
    for ours, theirs in zip(step(decoder.compiled_body if ON_GPU else decoder.body, mask), expected, strict=True):
        assert far(ours, theirs) < 3e-2


def test_an_average_moves_as_in_its_plain_form(new_decoder):
    decoder = new_decoder(n_embd=96).to(DEVICE)
    averages = [ExponentialMovingAverage(decoder, 0.9) for _ in range(2)]
    for average in averages:
        average.start()
    assert averages[0].fused
    averages[1].fused = None
    for decay in (0.3, 0.999):
        for weight in decoder.parameters():
            weight.data.normal_()
        for average in averages:
            average.update(torch.tensor(decay, device=DEVICE))
        for fused, plain in zip(*(average.weights for average in averages), strict=True):
            torch.testing.assert_close(fused, plain)
