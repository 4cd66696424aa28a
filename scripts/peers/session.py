"""One peer and one program in this process: made ready once, then timed on request.

The harness hands out the same blocks as to every other executor and compares the outputs with the same
reference. The clock is read here, around one call of run(), whose own cost of some microseconds in
Python is part of the sample.
"""

import importlib
import mmap
import struct
import time

import numpy as np

import program as ir
from peer import Job, Unsupported
from worker import text

PARAMS, OUTPUTS = 4, 5  # descriptors of the shared memory
PRECISIONS = ["fp32", "tf32", "bf16", "fp16"]  # enum mb_precision
ISAS = ["scalar", "avx2", "avx512"]  # enum mb_isa
PAGE = mmap.PAGESIZE

IMPORTED = time.monotonic()  # NumPy and what else stands above

runner = None
shared_outputs = []


def map_tensors(descriptor, types, access):
    """Arrays over the shared memory, as mb_shared_params and mb_shared_outputs lay it out."""
    sizes = [int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize for dtype, shape in types]
    pages = [-(-size // PAGE) * PAGE for size in sizes]
    if not sum(pages):
        return []
    base = mmap.mmap(descriptor, sum(pages), mmap.MAP_SHARED, access)
    starts = np.cumsum([0] + pages[:-1])
    return [np.frombuffer(base, dtype, size // np.dtype(dtype).itemsize, int(start)).reshape(shape)
            for (dtype, shape), size, start in zip(types, sizes, starts)]


def prepare(module, payload, entered_ns, asked):
    """Makes the runner and runs it once. entered_ns and asked: when this process began and when it was
    asked, before the imports of this module."""
    global runner, shared_outputs
    executor, threads = payload.text(), payload.u64()
    precision, isa = PRECISIONS[payload.u64()], ISAS[payload.u64()]
    cold, transfers = payload.u64(), payload.u64()
    if cold:
        raise Unsupported(f"{executor} cannot evict the caches; use --cache warm")
    if transfers:
        raise Unsupported(f"{executor} is not measured with data transfers: its inputs stay where they are")
    phase_names = payload.text().split()
    ir_text = payload.text()
    program = ir.parse(ir_text)
    for param in program.params:
        param.is_weight = bool(payload.u64())
    arrays = map_tensors(PARAMS, [(param.dtype, param.shape) for param in program.params], mmap.PROT_READ)
    values = {param.id: array for param, array in zip(program.params, arrays)}

    clock = time.monotonic
    began = clock()
    library = IMPORTED - asked
    build = importlib.import_module(module).build
    imported = clock()
    library += imported - began
    runner = build(Job(executor, threads, precision, isa, program, ir_text, values))
    built = clock()
    runner.run()
    first_output = clock()
    apart = sum(seconds for name, seconds in runner.seconds.items() if name != "compile")
    phases = runner.seconds | {"open": library, "plan": built - imported - apart,
                               "first_inference": first_output - built}

    types = [(array.dtype, array.shape) for array in outputs_now()]
    shared_outputs = map_tensors(OUTPUTS, types, mmap.PROT_READ | mmap.PROT_WRITE)
    nanoseconds = [1e9 * phases.get(name, float("nan")) for name in phase_names]
    return (struct.pack(f"<{len(nanoseconds)}d", *nanoseconds) +
            struct.pack("<Q", PRECISIONS.index(runner.precision)) +
            text(runner.math_mode[:63]) + text(runner.library[:95]) + text("") +
            struct.pack("<d", 0) +  # no arithmetic that it tells
            text(runner.text) +
            struct.pack("<5d", entered_ns, 1e9 * first_output, 1e9 * phases["open"],
                        1e9 * phases.get("compile", 0), 1e9 * phases.get("harness", 0)))


def outputs_now():
    return runner.outputs() if callable(runner.outputs) else runner.outputs


def run(payload):
    once, clock = runner.run, time.monotonic_ns
    began = clock()
    payload.u64()  # what the block is for
    settle_runs, settle_ns, n_samples = payload.u64(), payload.u64(), payload.u64()
    payload.u64()  # new inputs: never in a race with a script, which may keep copies of its own
    settle_began, runs = clock(), 0
    settled = settle_began + settle_ns
    while runs < settle_runs or clock() < settled:
        once()
        runs += 1
    settling = clock() - settle_began
    samples = [0] * n_samples
    if n_samples:
        for output in outputs_now():
            output.view(np.uint8).fill(0xFF)
        for i in range(n_samples):
            begin = clock()
            once()
            samples[i] = clock() - begin
        for shared, output in zip(shared_outputs, outputs_now()):
            shared[...] = output
    other = clock() - began - settling - sum(samples)
    # worker.h's account; a script's runs are not guarded (guard.h): a peer may keep copies of its inputs
    account = struct.pack("<4d4Q", settling, 0, 0, other, runs, 0, 0, 0)
    return struct.pack("<Qd", runs, float("nan")) + account + struct.pack(f"<{n_samples}d", *samples)
