"""Attention in few steps, for exported graphs."""

from itertools import groupby

from torch import Tensor, nn
from torch.nn.functional import linear


class PlainAttention(nn.Module):
    """:class:`torch.nn.MultiheadAttention` with ``batch_first``, without dropout, masks and the weights as a result.

    torch's own goes through sequences first and takes heads for images: twice as many steps in a graph.

    Args:
        original: Whose weights to take.
    """

    def __init__(self, original: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = original.num_heads
        channels = original.embed_dim
        weight, bias = original.in_proj_weight.detach().clone(), original.in_proj_bias.detach().clone()
        # The products of queries and keys are divided by the root of a head's channels: as well the queries are.
        for queries in (weight[:channels], bias[:channels]):
            queries *= original.head_dim**-0.5
        self.in_proj_weight, self.in_proj_bias = (nn.Parameter(part, requires_grad=False) for part in (weight, bias))
        self.out_proj = original.out_proj

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: None = None, need_weights: bool = False
    ) -> tuple[Tensor, None]:
        """(B, N, C), (B, T, C), (B, T, C) to (B, N, C), and None in place of the weights."""
        queries, keys, values = self._project((query, key, value))
        shares = (queries @ keys.transpose(-1, -2)).softmax(dim=-1)  # (B, heads, N, T)
        return self.out_proj((shares @ values).transpose(1, 2).flatten(2)), None

    def _project(self, inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        """Queries, keys and values, (B, heads, ·, C / heads) each; those of the same input by one product."""
        projected, row = [], 0
        for _, same in groupby(inputs, key=id):
            features, *others = same
            count, channels = 1 + len(others), features.shape[-1]
            rows = slice(row * channels, (row + count) * channels)
            mixed = linear(features.to(self.in_proj_weight.dtype), self.in_proj_weight[rows], self.in_proj_bias[rows])
            heads = mixed.unflatten(-1, (count, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
            projected += heads.unbind(0)
            row += count
        return projected
