"""The paper's agreement model: pre-LN GPT-2 blocks that see both ways, read out at CLS."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import GPT2Config
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from harness.tracing.architecture import Architecture
from tasks.agreement.tokenizer import PAD


@dataclass(frozen=True)
class Sizes:
    """Sizes and dropout rates of an `Encoder`."""

    vocabulary: int
    positions: int = 64
    layers: int = 6
    heads: int = 8
    hidden: int = 128
    residual_dropout: float = 0.1
    embedding_dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02


class EncoderConfig(GPT2Config):
    """GPT-2's configuration under a different name: the blocks are GPT-2's, the model is not."""

    model_type = "agreement_encoder"


class Layer(nn.Module):
    """A GPT-2 block whose attention weights can be read."""

    def __init__(self, config: EncoderConfig, index: int):
        super().__init__()
        self.block = GPT2Block(config, layer_idx=index)
        if hasattr(self.block.attn, "bias"):  # transformers 4 keeps the causal mask in a buffer
            self.block.attn.bias.fill_(True)  # pyright: ignore[reportCallIssue]

    def forward(self, state: Tensor, mask: Tensor, attentions: list[Tensor]) -> Tensor:
        """The next state, `[batch, token, hidden]`; appends the attention `[batch, head, query, key]`."""
        # The block's own forward drops the attention weights; these are its steps. A test checks that both agree.
        attended, attention = self.block.attn(self.block.ln_1(state), attention_mask=mask)
        attentions.append(attention)
        state = state + attended
        return state + self.block.mlp(self.block.ln_2(state))


class Encoder(nn.Module):
    """Words to two classes (0 singular, 1 plural).

    The call and its output are those of a transformers classifier with `attn_implementation="eager"`, so that one
    `Trace` serves both.
    """

    architecture = Architecture(
        layers="layers",
        query="block.attn.c_attn:0",
        key="block.attn.c_attn:1",
        value="block.attn.c_attn:2",
        attention_output="block.attn.c_proj",
        attention_norm="block.ln_1",
        inner="block.mlp.c_fc",
        activation="block.mlp.act",
        outer="block.mlp.c_proj",
        feed_forward_norm="block.ln_2",
        logits=(("norm", "head"),),
        pre_norm=True,
    )

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        hidden = sizes.hidden
        self.config = EncoderConfig(
            vocab_size=sizes.vocabulary,
            n_positions=sizes.positions,
            n_embd=hidden,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            resid_pdrop=sizes.residual_dropout,
            embd_pdrop=sizes.embedding_dropout,
            attn_pdrop=sizes.attention_dropout,
            activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, in one kernel
            num_labels=2,  # pyright: ignore[reportCallIssue]
            pad_token_id=PAD,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation="eager",  # pyright: ignore[reportCallIssue]
        )
        self.words = nn.Embedding(sizes.vocabulary, hidden)
        self.positions = nn.Embedding(sizes.positions, hidden)
        self.dropout = nn.Dropout(sizes.embedding_dropout)
        self.layers = nn.ModuleList(Layer(self.config, index) for index in range(sizes.layers))
        self.norm = nn.LayerNorm(hidden, eps=self.config.layer_norm_epsilon)
        self.head = nn.Linear(hidden, 2)
        self._initialize(sizes.initializer_range)

    def _initialize(self, std: float) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # GPT-2's rule: weights that write to the residual stream start smaller, by the number of writers
                writers = (2 * len(self.layers)) ** 0.5 if name.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, std=std / writers)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embedding, whose output a `Trace` differentiates."""
        return self.words

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> SequenceClassifierOutput:
        """Logits `[batch, 2]` from ids and mask `[batch, token]`."""
        state = self.dropout(self.words(input_ids) + self.positions.weight[: input_ids.shape[1]])
        mask = torch.zeros(attention_mask.shape, dtype=state.dtype, device=state.device)
        mask = mask.masked_fill(attention_mask == 0, torch.finfo(state.dtype).min)[:, None, None]
        states: list[Tensor] = [state]
        attentions: list[Tensor] = []
        for layer in self.layers:
            states.append(layer(states[-1], mask, attentions))
        logits = self.head(self.norm(states[-1][:, 0]))
        return SequenceClassifierOutput(
            logits=logits,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )
