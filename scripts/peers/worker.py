"""The worker's side of host/bench/wire.h in Python: worker.py MODULE, started by the harness.

MODULE is a peer: its build(job) makes a Runner from a Job, or raises Unsupported with the reason that
its row then shows. The harness hands out the same blocks as to every other executor and compares the
outputs with the same reference. The clock is read here, around one call of run(), whose own cost of
some microseconds in Python is part of the sample.
"""

import importlib
import mmap
import socket
import struct
import sys
import time

import numpy as np

import program as ir
from peer import Job, Unsupported

SOCKET, PARAMS, OUTPUTS = 3, 4, 5  # descriptors that the harness passes on
PREPARE, RUN, QUIT, REPLY = 1, 2, 3, 4
OK, UNSUPPORTED, DEVICE = 0, 3, 5  # enum mb_status
PRECISIONS = ["fp32", "tf32", "bf16", "fp16"]  # enum mb_precision
ISAS = ["scalar", "avx2", "avx512"]  # enum mb_isa
PAGE = mmap.PAGESIZE


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u64(self):
        (value,) = struct.unpack_from("<Q", self.data, self.at)
        self.at += 8
        return value

    def text(self):
        size = self.u64()
        value = self.data[self.at:self.at + size].decode()
        self.at += size + 1
        return value


def put_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data + b"\0"


class Worker:
    def __init__(self, module):
        self.module = module
        self.socket = socket.socket(fileno=SOCKET)
        self.runner = None
        self.shared_outputs = []

    # ---- messages ----

    def receive_exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                sys.exit(0)  # the harness is gone
            data += part
        return bytes(data)

    def receive(self):
        message, _, size = struct.unpack("<IIQ", self.receive_exactly(16))
        return message, Reader(self.receive_exactly(size))

    def reply(self, status, payload):
        self.socket.sendall(struct.pack("<IIQ", REPLY, status, len(payload)) + payload)

    # ---- tensors, as mb_shared_params and mb_shared_outputs lay them out ----

    @staticmethod
    def map_tensors(descriptor, types, access):
        sizes = [int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize for dtype, shape in types]
        pages = [-(-size // PAGE) * PAGE for size in sizes]
        if not sum(pages):
            return []
        base = mmap.mmap(descriptor, sum(pages), mmap.MAP_SHARED, access)
        starts = np.cumsum([0] + pages[:-1])
        return [np.frombuffer(base, dtype, size // np.dtype(dtype).itemsize, int(start)).reshape(shape)
                for (dtype, shape), size, start in zip(types, sizes, starts)]

    # ---- commands ----

    def prepare(self, payload):
        executor, threads = payload.text(), payload.u64()
        precision, isa = PRECISIONS[payload.u64()], ISAS[payload.u64()]
        phase_names = payload.text().split()
        program = ir.parse(payload.text())
        for param in program.params:
            param.is_weight = bool(payload.u64())
        types = [(param.dtype, param.shape) for param in program.params]
        arrays = self.map_tensors(PARAMS, types, mmap.PROT_READ)
        values = {param.id: array for param, array in zip(program.params, arrays)}
        begin = time.monotonic()
        try:
            build = importlib.import_module(self.module).build
        except ModuleNotFoundError as missing:
            raise Unsupported(f"{missing}; run scripts/setup peers") from missing
        opened = time.monotonic()
        self.runner = build(Job(executor, threads, precision, isa, program, values))
        self.runner.phases["open"] = opened - begin
        begin = time.monotonic()
        self.runner.run()
        self.runner.phases["first_inference"] = time.monotonic() - begin
        types = [(array.dtype, array.shape) for array in self.runner.outputs]
        self.shared_outputs = self.map_tensors(OUTPUTS, types, mmap.PROT_READ | mmap.PROT_WRITE)
        seconds = [self.runner.phases.get(name, float("nan")) for name in phase_names]
        return (struct.pack(f"<{len(seconds)}d", *(1e9 * s for s in seconds)) +
                struct.pack("<Q", PRECISIONS.index(self.runner.precision)) +
                put_text(self.runner.math_mode[:63]) + put_text(self.runner.library[:95]) +
                put_text(self.runner.text))

    def run(self, payload):
        run, clock = self.runner.run, time.monotonic_ns
        payload.u64()  # what the block is for
        settle_runs, settle_ns, n_samples = payload.u64(), payload.u64(), payload.u64()
        settled, runs = clock() + settle_ns, 0
        while runs < settle_runs or clock() < settled:
            run()
            runs += 1
        samples = [0] * n_samples
        if n_samples:
            for output in self.runner.outputs:
                output.view(np.uint8).fill(0xFF)
            for i in range(n_samples):
                begin = clock()
                run()
                samples[i] = clock() - begin
            for shared, output in zip(self.shared_outputs, self.runner.outputs):
                shared[...] = output
        return struct.pack(f"<{n_samples}d", *samples)

    def serve(self):
        while True:
            message, payload = self.receive()
            if message == QUIT:
                return
            try:
                self.reply(OK, self.prepare(payload) if message == PREPARE else self.run(payload))
            except Unsupported as why:
                self.reply(UNSUPPORTED, put_text(str(why)))
            except Exception as error:  # whatever a library throws is its row's reason
                first_line = (str(error).strip() or repr(error)).splitlines()[0]
                self.reply(DEVICE, put_text(f"{type(error).__name__}: {first_line}"[:500]))


if __name__ == "__main__":
    Worker(sys.argv[1]).serve()
