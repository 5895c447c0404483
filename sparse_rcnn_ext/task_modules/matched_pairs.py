"""What a matching says."""

from typing import NamedTuple

from torch import Tensor


class MatchedPairs(NamedTuple):
    """Which proposal has which ground truth; entry i of all three belongs together.

    One to one, every stage matches equally many pairs (M): of each image, the smaller of its proposals and its boxes.
    No proposal and no ground truth stands twice within a stage and an image, and there are no weights.
    """

    image: Tensor
    """(S, M) image of the batch."""
    proposal: Tensor
    """(S, M) proposal of that image."""
    target: Tensor
    """(S, M) ground truth of that image."""
    weight: Tensor | None = None
    """(S, M), 1 for a pair, or 0 for one that fills a stage with fewer pairs up: a repetition of another pair."""
