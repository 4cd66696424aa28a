"""ONNX Runtime's CPU provider as a peer: all graph optimisations, weights as constants, one thread pool
of as many threads as every other executor has, inputs and outputs bound once."""

import time

import numpy as np
import onnxruntime as ort

import onnx_model
from peer import Runner, Unsupported, capped


def build(job):
    if job.precision != "fp32":
        raise Unsupported(f"the CPU provider computes f32 models in fp32, not in {job.precision}")
    if capped(job.isa):
        raise Unsupported(f"its kernels cannot be capped at {job.isa}")
    began = time.monotonic()
    model = onnx_model.build(job.program, job.values).SerializeToString()
    written = time.monotonic()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding, held = session.io_binding(), []
    for param in job.program.params:
        if not param.is_weight:
            held.append(ort.OrtValue.ortvalue_from_numpy(np.array(job.values[param.id])))
            binding.bind_ortvalue_input(f"p{param.id}", held[-1])
    outputs = []
    for info in session.get_outputs():
        dtype = onnx_model.numpy_type(model, info.name)
        outputs.append(np.empty(info.shape, dtype))
        binding.bind_output(info.name, "cpu", 0, dtype, info.shape, outputs[-1].ctypes.data)
    run = session.run_with_iobinding
    return Runner(
        run=lambda: run(binding),
        outputs=outputs,
        inputs=held,
        precision="fp32",
        math_mode="fp32, MLAS",
        library=f"ONNX Runtime {ort.__version__}",
        text=f"onnxruntime, {job.threads} threads, all optimisations, inputs and outputs bound",
        seconds={"harness": written - began},
    )
