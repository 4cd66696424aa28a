"""torch.compile as a peer, in Python: the module is traced and compiled by Inductor at its first call, with
weights frozen. Each timed run includes the call from Python and its guards."""

import time

import torch_setup  # before torch
import torch

import torch_model
from peer import Runner, Unsupported

MODES = {"torch-compile": "default", "torch-compile-max-autotune": "max-autotune",
         "torch-compile-reduce-overhead": "reduce-overhead"}


class Compiled:
    def __init__(self, model, mode, inputs):
        self.call, self.inputs, self.results = torch.compile(model, mode=mode), inputs, ()

    def run(self):
        self.results = self.call(*self.inputs)

    def outputs(self):
        return [result.numpy() for result in self.results]


def build(job):
    mode = MODES[job.executor]
    if mode == "reduce-overhead":
        raise Unsupported("it is torch-compile with CUDA graphs; on a CPU there are none")
    torch_setup.prepare(job)
    began = time.monotonic()
    compiled = Compiled(torch_model.Model(job.program, job.values).eval(), mode, torch_setup.inputs(job))
    made = time.monotonic()
    compiled.run()
    ready = time.monotonic()
    return Runner(
        run=compiled.run,
        outputs=compiled.outputs,
        precision="fp32",
        math_mode=torch_setup.math_mode(),
        library=f"torch {torch.__version__}, in Python",
        text=f"torch.compile, mode {mode}, freezing, {job.threads} threads, called from Python",
        seconds={"pack": made - began, "compile": ready - made},
    )
