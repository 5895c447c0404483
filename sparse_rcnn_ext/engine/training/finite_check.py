"""Whether a backward pass was finite, without a wait for the device."""

import math
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn


def runs_ahead(loss: Tensor) -> bool:
    """Whether this process is ahead of the device of ``loss``, so that reading a value would be a wait."""
    return loss.is_cuda


class FiniteCheck:
    """The finiteness of a loss and of the gradients that came of it, computed where they are.

    With several processes all learn what any of them has; each must make as many checks.

    Args:
        loss: The loss.
        parameters: What the optimizer trains, after the backward pass.
    """

    def __init__(self, loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.grad is not None]
        self.gradients = [parameter.grad for parameter in self.parameters]
        # One pass over all of them. Where it overflows, an optimizer that squares gradients does too.
        self._norms = torch.stack(torch._foreach_norm(self.gradients)) if self.gradients else loss.new_zeros(1)
        ill = torch.stack([~loss.detach().isfinite().all(), ~self._norms.isfinite().all()])
        anywhere = ill.float()
        all_reduce(anywhere, 'max')
        self.ill_loss, self.ill_gradient = anywhere.bool().unbind()
        """Scalars on the device: in any process."""

        self.is_late = runs_ahead(loss)
        """Whether :meth:`read` may wait."""

        self._flags = torch.cat([ill.float(), anywhere]).to('cpu', non_blocking=True)
        self._arrived = None
        if loss.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> tuple[bool, bool, bool, bool]:
        """Whether the loss and a gradient of this process, the loss and a gradient of any process are not finite.

        Waits until the device has come so far.
        """
        if self._arrived is not None:
            self._arrived.synchronize()
        return tuple(self._flags.bool().tolist())

    def ill_parameters(self) -> list[nn.Parameter]:
        """Those whose gradients were not finite."""
        return [parameter for parameter, norm in zip(self.parameters, self._norms.tolist()) if not math.isfinite(norm)]


def ill_weights(model: nn.Module) -> list[str]:
    """Names of parameters that are not finite, and of buffers with NaN; some networks have buffers with infinity."""
    weights = {name: value.detach() for name, value in model.named_parameters()}
    buffers = {name: value for name, value in model.named_buffers() if value.is_floating_point()}
    values = [*weights.values(), *buffers.values()]
    # One pass, that finds nothing nearly always; a norm may also overflow, or be that of an infinite buffer.
    if not values or torch.stack([norm.double() for norm in torch._foreach_norm(values)]).isfinite().all():
        return []
    found = [~value.isfinite().all() for value in weights.values()]
    found += [value.isnan().any() for value in buffers.values()]
    return [name for name, ill in zip((*weights, *buffers), torch.stack(found).tolist()) if ill]
