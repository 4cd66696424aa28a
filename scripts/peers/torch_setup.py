"""What the peers that compile with PyTorch share: settings of the process, and what they need."""

import logging
import warnings

logging.disable(logging.WARNING)  # before the import: it warns of a GPU's packages, on a CPU too
warnings.simplefilter("ignore")

import torch
import torch._inductor.config
from torch._inductor import cpp_builder, exc

from peer import Unsupported, capped


def prepare(job):
    """Threads, inference mode for the rest of the process, weights as constants. Raises Unsupported where
    something is missing."""
    if job.precision != "fp32":
        raise Unsupported(f"on a CPU it computes in fp32, not in {job.precision}")
    if capped(job.isa):
        raise Unsupported(f"what its C++ compiler makes cannot be capped at {job.isa}")
    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        raise Unsupported("its compiler needs a C++ compiler and finds none; install g++") from None
    torch.set_num_threads(job.threads)
    torch.inference_mode().__enter__()
    torch._inductor.config.freezing = True


def math_mode():
    return f"fp32, oneDNN/MKL and Inductor, {torch.backends.cpu.get_cpu_capability()}"


def inputs(job):
    """Copies: what is shared with the harness is read-only."""
    return tuple(torch.from_numpy(job.values[param.id].copy()) for param in job.program.params
                 if not param.is_weight)
