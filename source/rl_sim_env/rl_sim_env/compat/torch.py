"""What torch keeps to itself and is imported here."""

from torch.utils import (
    # Tensors in nested containers; torch has no public name for it.
    _pytree as pytree,
)
from torch.utils._python_dispatch import (
    # Sees every operation; documented, but only under this name.
    TorchDispatchMode,
)

__all__ = ["TorchDispatchMode", "pytree"]
