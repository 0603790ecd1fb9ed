"""A model whose every answer is known: a linear bag of tokens with given attention."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from harness.tracing.batch import Batch, Example, Role, collate

PAD, CLS, FINAL, UNKNOWN = 0, 1, 2, 3
BLANKS = {"unk": UNKNOWN, "mask": None, "pad": PAD}


class BagOfTokens(nn.Module):
    """Logits are the sum of the tokens' vectors; attention is a softmax of constants, or is passed in."""

    def __init__(self, vectors: Tensor, attention: Tensor | None = None, layers: int = 3, heads: int = 2):
        super().__init__()
        self.config = SimpleNamespace(model_type="bag")
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.attention = attention  # [layer, head, query, key]
        generator = torch.Generator().manual_seed(5)
        self.scores = torch.randn(layers, heads, 64, 64, generator=generator)
        self.eval()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(self, input_ids, attention_mask, output_attentions=False, output_hidden_states=False):
        state = self.embedding(input_ids)
        logits = (state * attention_mask[:, :, None]).sum(dim=1)
        n = input_ids.shape[1]
        if self.attention is not None:
            attentions = tuple(layer.expand(len(input_ids), -1, -1, -1) for layer in self.attention)
        else:
            hidden = (attention_mask == 0)[:, None, None]
            attentions = tuple(
                layer[None, :, :n, :n].masked_fill(hidden, -torch.inf).softmax(dim=-1) + 0 * state.sum()
                for layer in self.scores
            )
        return SequenceClassifierOutput(
            logits=logits,
            attentions=attentions if output_attentions else None,
            # copies, so that the head, which reads all tokens, is taken to read the explained position
            hidden_states=(state, *(state.clone() for _ in attentions)) if output_hidden_states else None,
        )


def bag(seed: int = 0, **options) -> BagOfTokens:
    """A bag of twenty random tokens and two classes."""
    vectors = torch.randn(20, 2, generator=torch.Generator().manual_seed(seed))
    return BagOfTokens(vectors, **options)


def sentence(ids: list[int], id: str = "a", gold: int = 0) -> Example:
    """CLS, the ids, and the end token."""
    return Example(
        id=id,
        input_ids=[CLS, *ids, FINAL],
        roles=[Role.CLS, *[Role.CONTENT] * len(ids), Role.FINAL],
        position=0,
        gold=gold,
    )


def batch_of(*sentences: Example, include: str = "all") -> Batch:
    """The sentences as one batch."""
    return collate(sentences, include, BLANKS)
