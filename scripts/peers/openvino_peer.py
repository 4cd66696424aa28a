"""OpenVINO's CPU plugin as a peer: latency mode, f32 asked for and read back, inputs and outputs bound
once."""

import time

import numpy as np
import openvino as ov

import onnx_model
from peer import Runner, Unsupported, capped

PRECISIONS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}


def build(job):
    if job.precision not in PRECISIONS:
        raise Unsupported(f"the CPU plugin has no {job.precision}")
    if capped(job.isa):
        raise Unsupported(f"its kernels cannot be capped at {job.isa}")
    began = time.monotonic()
    serialized = onnx_model.build(job.program, job.values).SerializeToString()
    written = time.monotonic()
    core = ov.Core()
    model = core.read_model(serialized)
    compiled = core.compile_model(model, "CPU", {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[job.precision],
        "NUM_STREAMS": 1,
    })
    effective = compiled.get_property("INFERENCE_PRECISION_HINT")
    precision = {kind: name for name, kind in PRECISIONS.items()}[effective]
    request, held = compiled.create_infer_request(), []
    for param in job.program.params:
        if not param.is_weight:
            held.append(np.array(job.values[param.id]))
            request.set_tensor(f"p{param.id}", ov.Tensor(held[-1], shared_memory=True))
    outputs = []
    for i, port in enumerate(compiled.outputs):
        outputs.append(np.empty(port.shape, port.element_type.to_dtype()))
        request.set_output_tensor(i, ov.Tensor(outputs[-1], shared_memory=True))

    def run():
        request.start_async()
        request.wait()

    return Runner(
        run=run,
        outputs=outputs,
        inputs=held,
        precision=precision,
        math_mode=f"{precision}, oneDNN and own kernels",
        library=f"OpenVINO {ov.__version__}",
        text=f"openvino, {job.threads} threads, one stream, latency hint, inputs and outputs bound",
        seconds={"harness": written - began},
    )
