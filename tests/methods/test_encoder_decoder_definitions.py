"""Methods on a real and on tiny encoder-decoders against naive programs of their definitions, token by token."""

import json
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from harness.tracing.batch import Example, Role, TwoSided, collate
from harness.tracing.run import Trace
from methods.explainers.alti import Alti
from methods.explainers.alti_logit import AltiLogit
from methods.explainers.attention import Attention
from methods.explainers.attention_x_gradient import AttentionXGradient
from methods.explainers.cp_lrp import CPLRP
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.globenc import GlobEnc
from methods.explainers.ifr import InformationFlowRoutes
from methods.explainers.logit import Logit
from methods.explainers.norm_based import NormBased
from methods.explainers.rollout import Rollout
from methods.explainers.value_zeroing import ValueZeroing
from methods.logit_direction import terms
from tasks.target_word_model import TargetWordModel
from tests.architectures import ENCODER_DECODERS, blanks, tiny, two_sided
from tests.conftest import SHARED
from tests.decoder_by_hand import norm_scale, norm_share
from tests.encoder_decoder_by_hand import POST_NORM, Block, EncoderDecoderByHand

ANNALOG = SHARED / "checkpoints" / "annalog-marian"
KINDS = ["annalog", *ENCODER_DECODERS]
PRE_NORM = [kind for kind in ENCODER_DECODERS if kind not in POST_NORM]
KIND = pytest.mark.parametrize("kind", KINDS)
pytestmark = pytest.mark.filterwarnings("ignore::harness.tracing.notices.RoundingNoise")


@cache
def pair(kind: str) -> tuple[Trace, EncoderDecoderByHand]:
    """The trace of one pair of texts, and the same by hand."""
    if kind == "annalog":
        if not ANNALOG.is_dir():
            pytest.skip(f"{ANNALOG} is not there")
        tokens = AutoTokenizer.from_pretrained(ANNALOG)
        inner = AutoModelForSeq2SeqLM.from_pretrained(ANNALOG, dtype=torch.float32, attn_implementation="eager")
        start = json.loads((ANNALOG / "config.json").read_text())["decoder_start_token_id"]
        source = tokens("CC(=O)Nc1ccc(O)cc1")["input_ids"]
        copied = source[1:] if source[0] == start else source
        target, wanted = [start, *copied[:6]], copied[6]
        roles = [Role.CONTENT] * len(source) + [Role.CLS] + [Role.CONTENT] * 5 + [Role.PREDICTS]
        words = [-1] * (len(source) + len(target))
        rival = next(one for one in range(5, 20) if one != wanted)
        example = Example(
            "one",
            [*source, *target],
            roles,
            len(roles) - 1,
            0,
            candidates=[wanted, rival],
            sides=TwoSided(len(source), 20, words),
        )
        module = TargetWordModel(inner.eval().requires_grad_(False))
        batch = collate([example], "prompt", {"unk": None, "mask": None, "pad": 1})
        kind = "marian"
    else:
        module, example = tiny(kind), two_sided(5, 4, seed=3)
        batch = collate([example], "prompt", blanks(kind))
    assert example.sides is not None
    size = example.sides.source
    trace = Trace(module, batch, 0, "logit_difference")
    hand = EncoderDecoderByHand(
        kind, module.inner, example.input_ids[:size], example.input_ids[size:], example.candidates or ()
    )
    assert torch.allclose(trace.logits[0].double(), hand.logits, rtol=1e-4, atol=1e-4)
    return trace, hand


def worst(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference in relation to the largest value."""
    return ((ours.double() - theirs).abs().max() / theirs.abs().max()).item()


def local(hand: EncoderDecoderByHand, score: Callable[[Block, int, int], Tensor]) -> Tensor:
    """Each layer's row `[layer, source + prefix]`: of its cross-attention, then of its self-attention."""
    source, prefix = hand.sizes
    last = prefix - 1
    rows = [
        [*(score(across, last, key) for key in range(source)), *(score(own, last, key) for key in range(prefix))]
        for own, across in zip(hand.own, hand.cross, strict=True)
    ]
    return torch.tensor([[float(one) for one in row] for row in rows], dtype=torch.float64)


@KIND
def test_attention(kind: str):
    trace, hand = pair(kind)
    theirs = local(hand, lambda block, query, key: sum(head[query, key] for head in block.attention) / block.heads)
    assert worst(Attention()(trace)[0], theirs) < 1e-4


@KIND
@pytest.mark.parametrize("block", ["attention", "residual", "layer_norm"])
def test_norms(kind: str, block: str):
    trace, hand = pair(kind)

    def score(of: Block, query: int, key: int) -> Tensor:
        part = of.summed(query, key)
        if block != "attention" and of in hand.own and key == query:
            part = part + of.residual[query]
        return (of.share(query, part) if block == "layer_norm" else part).norm()

    assert worst(NormBased(block)(trace)[0], local(hand, score)) < 1e-4


def maps(hand: EncoderDecoderByHand, score: Callable[[Block, int, Tensor], Tensor]) -> list[tuple[list[Tensor], bool]]:
    """Each block's map of what parts are worth: `[query, key]`, of cross-attention with the residual as a last key."""
    found = []
    for blocks, crosses in ((hand.encoder, False), (hand.own, False), (hand.cross, True)):
        of_kind = []
        for block in blocks:
            queries, keys = len(block.query), len(block.keys)
            rows = torch.zeros(queries, keys + crosses, dtype=torch.float64)
            for query in range(queries):
                for key in range(keys):
                    part = block.summed(query, key)
                    if not crosses and key == query:
                        part = part + block.residual[query]
                    rows[query, key] = score(block, query, part)
                if crosses:
                    rows[query, keys] = score(block, query, block.residual[query])
            of_kind.append(rows)
        found.append((of_kind, crosses))
    return found


def joint(found: list[tuple[list[Tensor], bool]], encoder: bool = True) -> Tensor:
    """ALTI+'s recursion (Ferrando et al. 2022b, section 3), `[layer, source + prefix]`, of the last position."""
    (of_encoder, _), (of_self, _), (of_cross, _) = found
    source, prefix = len(of_encoder[0]), len(of_self[0])
    rolled = torch.eye(source, dtype=torch.float64)
    for one in of_encoder if encoder else []:
        rolled = one @ rolled
    from_source, from_prefix = torch.zeros(prefix, source).double(), torch.eye(prefix, dtype=torch.float64)
    rows = []
    for own, across in zip(of_self, of_cross, strict=True):
        kept = across[:, source:]  # [query, 1]
        from_source = kept * (own @ from_source) + across[:, :source] @ rolled
        from_prefix = kept * (own @ from_prefix)
        rows.append(torch.cat([from_source[-1], from_prefix[-1]]))
    return torch.stack(rows)


@KIND
@pytest.mark.parametrize("encoder", [True, False])
def test_alti_is_alti_plus(kind: str, encoder: bool):
    trace, hand = pair(kind)

    def closeness(block: Block, query: int, part: Tensor) -> Tensor:
        output = block.output(query)
        return (output.abs().sum() - (output - block.share(query, part)).abs().sum()).clamp(min=0)

    found = [([one / one.sum(dim=1, keepdim=True) for one in rows], crosses) for rows, crosses in maps(hand, closeness)]
    theirs = joint(found, encoder)
    ours = Alti(encoder=encoder)(trace)[0]
    assert worst(ours, theirs) < 1e-4
    assert torch.allclose(ours.sum(dim=1), torch.ones(len(ours)).double(), atol=1e-9)


@KIND
def test_globenc(kind: str):
    trace, hand = pair(kind)
    layers = {id(block): number for number, block in enumerate([*hand.encoder, *hand.cross])}
    modules = [*hand.encoder_layers, *hand.decoder_layers]

    def score(block: Block, query: int, part: Tensor) -> Tensor:
        part = block.share(query, part)
        if hand.post_norm and id(block) in layers:  # a feed-forward follows, with its own norm
            number = layers[id(block)]
            part = norm_share(modules[number].final_layer_norm, part, hand.final_norm_in[number][query])
        return part.norm()

    assert worst(GlobEnc()(trace)[0], joint(maps(hand, score))) < 1e-4


@KIND
@pytest.mark.parametrize("encoder", [True, False])
def test_rollout(kind: str, encoder: bool):
    trace, hand = pair(kind)
    found = []
    for blocks, crosses in ((hand.encoder, False), (hand.own, False), (hand.cross, True)):
        of_kind = []
        for block in blocks:
            mean = sum(block.attention) / block.heads  # [query, key]
            half = torch.full((len(mean), 1), 0.5, dtype=torch.float64)
            own = torch.eye(len(mean), dtype=torch.float64)
            of_kind.append(torch.cat([mean / 2, half], dim=1) if crosses else mean / 2 + own / 2)
        found.append((of_kind, crosses))
    ours = Rollout(encoder=encoder)(trace)[0]
    assert worst(ours, joint(found, encoder)) < 1e-5
    assert torch.allclose(ours.sum(dim=1), torch.ones(len(ours)).double(), atol=1e-6)


@KIND
def test_value_zeroing_by_running_the_model_with_a_value_set_to_zero(kind: str):
    trace, hand = pair(kind)
    source, prefix = hand.sizes

    def turned(layer: object, block: Block, queries: int, keys: int) -> Tensor:
        plain, rows = hand.layer_output(layer, None, 0), torch.zeros(queries, keys, dtype=torch.float64)
        for key in range(keys):
            changed = hand.layer_output(layer, block, key)
            for query in range(queries):
                rows[query, key] = 1 - torch.cosine_similarity(plain[query], changed[query], dim=0)
        return rows

    decoder = list(zip(hand.decoder_layers, hand.own, hand.cross, strict=True))
    across = [turned(layer, block, prefix, source) for layer, _, block in decoder]
    own = [turned(layer, block, prefix, prefix) for layer, block, _ in decoder]
    rows = [torch.cat(pair, dim=1) for pair in zip(across, own, strict=True)]
    rows = [row / row.sum(dim=1, keepdim=True) for row in rows]
    assert worst(ValueZeroing()(trace)[0], torch.stack([row[-1] for row in rows])) < 1e-4
    rolled = torch.eye(source, dtype=torch.float64)
    for layer, block in zip(hand.encoder_layers, hand.encoder, strict=True):
        one = turned(layer, block, source, source)
        rolled = one / one.sum(dim=1, keepdim=True) @ rolled
    below, theirs = torch.cat([torch.zeros(prefix, source), torch.eye(prefix)], dim=1).double(), []
    for row in rows:
        below = row[:, source:] @ below
        below[:, :source] += row[:, :source] @ rolled
        theirs.append(below[-1])
    assert worst(ValueZeroing(rollout=True)(trace)[0], torch.stack(theirs)) < 1e-4


def weighted(hand: EncoderDecoderByHand) -> tuple[list[Tensor], ...]:
    """(attention * gradient of the first word's logit)+, mean over heads: of encoder, self- and cross-attention."""
    inner = hand.inner.requires_grad_(True)
    result = inner(input_ids=hand.source, decoder_input_ids=hand.target, use_cache=False, output_attentions=True)
    kinds = (result.encoder_attentions, result.decoder_attentions, result.cross_attentions)
    every = [one for kind in kinds for one in kind]
    gradients = iter(torch.autograd.grad(result.logits[0, -1, hand.words[0]], every))
    inner.requires_grad_(False)
    return tuple([(one.detach() * next(gradients))[0].clamp(min=0).mean(dim=0) for one in kind] for kind in kinds)


@KIND
def test_attention_x_gradient(kind: str):
    trace, hand = pair(kind)
    _, own, across = weighted(hand)
    theirs = torch.stack([torch.cat([one[-1], other[-1]]) for other, one in zip(own, across, strict=True)])
    assert worst(AttentionXGradient()(trace)[0], theirs) < 1e-4


@KIND
def test_generic_relevance_with_the_rules_between_two_texts(kind: str):
    """Chefer et al. 2021b, equations 6 to 10; the explained position's own entry is not comparable."""
    trace, hand = pair(kind)
    encoder, own, across = weighted(hand)
    source, prefix = hand.sizes
    within = torch.eye(source, dtype=torch.float64)
    for one in encoder:
        within = within + one @ within
    target, both = torch.eye(prefix, dtype=torch.float64), torch.zeros(prefix, source, dtype=torch.float64)

    def relative(relevance: Tensor) -> Tensor:
        rest = relevance - torch.eye(len(relevance))
        rows = [row / row.sum() if row.sum() > 0 else row for row in rest]
        return torch.stack(rows) + torch.eye(len(relevance))

    theirs = []
    for one, other in zip(own, across, strict=True):
        both, target = both + one @ both, target + one @ target
        both = both + relative(target).T @ other @ relative(within)
        theirs.append(torch.cat([both[-1], target[-1]]))
    theirs = torch.stack(theirs)
    theirs[:, -1] = theirs[:, :-1].min(dim=1).values
    assert worst(GenericRelevance()(trace)[0], theirs) < 1e-4


def towards(hand: EncoderDecoderByHand) -> Tensor:
    """The direction of the difference of logits, at the last decoder layer's output, `[hidden]`."""
    head = hand.inner.get_output_embeddings().weight[hand.words]
    scaled = getattr(hand.inner.config, "scale_decoder_outputs", hand.inner.config.tie_word_embeddings)
    factor = hand.inner.config.d_model**-0.5 if hand.kind == "t5" and scaled else 1.0
    decoder = hand.inner.get_decoder()
    gain, scale, centred = norm_scale(
        decoder.final_layer_norm if hand.kind == "t5" else decoder.layer_norm, hand.last[-1]
    )
    direction = (head[0] - head[1]) * factor * gain / scale
    return direction - direction.mean() if centred else direction


@pytest.mark.parametrize("kind", PRE_NORM)
def test_logit_and_alti_logit(kind: str):
    trace, hand = pair(kind)
    direction = towards(hand)
    theirs = local(hand, lambda block, query, key: direction @ block.summed(query, key))
    assert worst(Logit()(trace)[0], theirs) < 1e-4

    def closeness(block: Block, query: int, part: Tensor) -> Tensor:
        output = block.output(query)
        return (output.abs().sum() - (output - part).abs().sum()).clamp(min=0)

    source, prefix = hand.sizes
    (of_encoder, _), (of_self, _), (of_cross, _) = maps(hand, closeness)
    rolled = torch.eye(source, dtype=torch.float64)
    for one in of_encoder:
        rolled = one / one.sum(dim=1, keepdim=True) @ rolled
    below = torch.cat([torch.zeros(prefix, source), torch.eye(prefix)], dim=1).double()
    total, rows = torch.zeros(source + prefix).double(), []
    for layer, (own, across) in enumerate(zip(of_self, of_cross, strict=True)):
        own, across = own / own.sum(dim=1, keepdim=True), across / across.sum(dim=1, keepdim=True)
        total = total + theirs[layer, source:] @ below
        below = own @ below
        total[:source] += theirs[layer, :source] @ rolled
        below = across[:, source:] * below
        below[:, :source] += across[:, :source] @ rolled
        rows.append(total.clone())
    assert worst(AltiLogit()(trace)[0], torch.stack(rows)) < 1e-4


@pytest.mark.parametrize("kind", PRE_NORM)
def test_all_terms_add_up_to_the_difference_of_logits(kind: str):
    trace, hand = pair(kind)
    assert terms(trace).total[0].item() == pytest.approx((hand.logits[0] - hand.logits[1]).item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", PRE_NORM)
def test_information_flow_routes(kind: str):
    trace, hand = pair(kind)

    def importance(output: Tensor, part: Tensor) -> float:
        return max(1e-5, (output.abs().sum() - (output - part).abs().sum()).item())

    found = []
    for blocks, crosses in ((hand.encoder, False), (hand.own, False), (hand.cross, True)):
        of_kind = []
        for block in blocks:
            queries, keys = len(block.query), len(block.keys)
            rows = torch.zeros(queries, keys + crosses, dtype=torch.float64)
            for query in range(queries):
                output = block.attended(query)
                for key in range(keys):
                    for head in range(block.heads):
                        if block.attention[head][query, key] > 0:
                            rows[query, key] += importance(output, block.part(query, key, head))
                rows[query, keys if crosses else query] += importance(output, block.residual[query])
            of_kind.append(rows / rows.sum(dim=1, keepdim=True))
        found.append((of_kind, crosses))
    assert worst(InformationFlowRoutes()(trace)[0], joint(found)) < 1e-4


@pytest.mark.parametrize("kind", ["t5", "t5 gated"])
def test_cp_lrp_is_conserved_where_there_are_no_biases(kind: str):
    """T5 has none, and its positions act on the softmax alone, which counts as constant."""
    trace, hand = pair(kind)
    scores = CPLRP()(trace.by_logit)[0, 0]
    assert scores.sum().item() == pytest.approx(hand.logits[0].item(), rel=1e-3)
