// Parts of the libtorch plugin that serve CUDA, without a device. The bookkeeping of recorded work
// (host/torch/captured.cpp), with a recorder of closures in CUDA's place: which buffers are
// recorded anew, which are replayed, and what a failure leaves behind. And libtorch's settings of
// precision.
#include "device.hpp"
#include "runner.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

extern "C" {
#include <cmocka.h>
}

namespace {

using mb_torch::recording;

using work = std::function<void()>;

// What was enqueued while recording; nullptr while work is done at once.
std::vector<work> *log_of_work = nullptr;

void enqueue(work w) {
    if (log_of_work)
        log_of_work->push_back(std::move(w));
    else
        w();
}

class closures final : public recording {
  public:
    explicit closures(std::vector<work> log) : log(std::move(log)) {}
    void replay() override {
        for (const work &w : log) w();
    }

  private:
    std::vector<work> log;
};

std::unique_ptr<recording> record(const std::function<void()> &body) {
    std::vector<work> log;
    log_of_work = &log;
    try {
        body();
    } catch (...) {
        log_of_work = nullptr;
        throw;
    }
    log_of_work = nullptr;
    return std::make_unique<closures>(std::move(log));
}

// y = 2 x, in new memory at each run.
struct doubler final : mb_torch::runner {
    int n_runs = 0, n_recorded = 0, fail_at = 0;

    void run(const at::Tensor *in, at::Tensor *out) override {
        n_runs++;
        if (log_of_work) n_recorded++;
        if (n_runs == fail_at) throw std::runtime_error("does not run");
        const at::Tensor x = in[0];
        at::Tensor y = at::empty_like(x);
        enqueue([x, y] { at::mul_out(const_cast<at::Tensor &>(y), x, at::scalar_tensor(2.f)); });
        out[0] = y;
    }
};

struct fixture {
    doubler *inner = new doubler;
    std::unique_ptr<mb_torch::runner> runner;

    fixture() {
        mb_torch::graph one_to_one;
        one_to_one.inputs = {0};
        one_to_one.outputs = {1};
        runner = mb_torch::capture(std::unique_ptr<mb_torch::runner>(inner), one_to_one, record);
    }
};

at::Tensor values(float first) { return at::arange(first, first + 4, at::dtype(at::kFloat)); }

bool is_double(const at::Tensor &y, const at::Tensor &x) { return at::equal(y, x + x); }

void test_replays(void **) {
    fixture f;
    at::Tensor x = values(1), y;
    f.runner->run(&x, &y);
    assert_true(is_double(y, x));
    assert_int_equal(f.inner->n_recorded, 1);
    const int n_runs = f.inner->n_runs;
    assert_true(n_runs > 1); // it ran for itself before it was recorded
    const at::Tensor first = y;
    for (int i = 2; i < 5; i++) {
        x.copy_(values(static_cast<float>(10 * i)));
        y.fill_(0);
        f.runner->run(&x, &y);
        assert_true(y.is_same(first) && is_double(y, x));
    }
    assert_int_equal(f.inner->n_runs, n_runs);
}

void test_other_buffers(void **) {
    fixture f;
    at::Tensor x = values(1), y, other;
    f.runner->run(&x, &y);
    f.runner->run(&x, &other); // the same input into another output
    assert_int_equal(f.inner->n_recorded, 2);
    assert_ptr_not_equal(y.data_ptr(), other.data_ptr());
    const at::Tensor before = y.clone();
    x.fill_(7);
    f.runner->run(&x, &other);
    assert_true(is_double(other, x) && at::equal(y, before));
    at::Tensor x2 = values(100);
    f.runner->run(&x2, &y); // another input into the same output
    assert_int_equal(f.inner->n_recorded, 3);
    assert_true(is_double(y, x2));
    f.runner->run(&x, &other);
    assert_int_equal(f.inner->n_recorded, 3);
}

void test_many_buffers(void **) {
    constexpr int N = 20;
    fixture f;
    std::vector<at::Tensor> x(N), y(N);
    for (int i = 0; i < N; i++) {
        x[i] = values(static_cast<float>(i));
        f.runner->run(&x[i], &y[i]);
    }
    assert_int_equal(f.inner->n_recorded, N);
    f.runner->run(&x[N - 1], &y[N - 1]);
    assert_int_equal(f.inner->n_recorded, N); // the newest is remembered
    x[0].fill_(3);
    f.runner->run(&x[0], &y[0]);
    assert_int_equal(f.inner->n_recorded, N + 1); // the oldest is not, and is right again
    for (int i = 0; i < N; i++) assert_true(is_double(y[i], x[i]));
}

void test_failures(void **) {
    for (int fail_at = 1; fail_at < 5; fail_at++) { // before and while it is recorded
        fixture f;
        at::Tensor x = values(1), y;
        f.inner->fail_at = fail_at;
        bool thrown = false;
        try {
            f.runner->run(&x, &y);
        } catch (const std::runtime_error &) {
            thrown = true;
        }
        assert_true(thrown && !y.defined());
        f.runner->run(&x, &y);
        assert_true(is_double(y, x));
    }
}

mb_torch::graph calls_of(std::initializer_list<mb_torch::call_kind> kinds, enum mb_dtype dtype) {
    mb_torch::graph g;
    for (const mb_torch::call_kind kind : kinds) {
        mb_torch::call c = {};
        c.kind = kind;
        c.live = true;
        c.dtype = dtype;
        g.calls.push_back(c);
    }
    return g;
}

void test_settings(void **) {
    using at::Float32Backend;
    using at::Float32Op;
    using at::Float32Precision;
    using mb_torch::call_kind;
    at::Context &context = at::globalContext();
    const at::Device cuda(at::kCUDA, 0), cpu(at::kCPU);
    const auto setting = [&](Float32Op op) {
        return context.float32Precision(Float32Backend::CUDA, op);
    };
    const mb_torch::graph both = calls_of({call_kind::addmm, call_kind::conv2d}, MB_F32);

    // What torch-defaults leaves as it is. Products alone are not TF32, and no f64 ever is.
    assert_true(setting(Float32Op::CONV) == Float32Precision::TF32);
    assert_true(setting(Float32Op::MATMUL) != Float32Precision::TF32);
    assert_false(context.benchmarkCuDNN());
    assert_int_equal(mb_torch::effective_precision(cuda, calls_of({call_kind::matmul}, MB_F32)),
                     MB_FP32);
    assert_int_equal(mb_torch::effective_precision(cuda, calls_of({call_kind::conv2d}, MB_F64)),
                     MB_FP32);

    mb_torch::set_precision(cuda, MB_FP32);
    assert_true(setting(Float32Op::CONV) == Float32Precision::IEEE);
    assert_true(setting(Float32Op::MATMUL) == Float32Precision::IEEE);
    assert_true(context.benchmarkCuDNN());
    assert_int_equal(mb_torch::effective_precision(cuda, both), MB_FP32);
    assert_true(mb_torch::math_mode(cuda).rfind("fp32, cuBLAS, cuDNN autotuned", 0) == 0);

    mb_torch::set_precision(cuda, MB_TF32);
    assert_true(setting(Float32Op::CONV) == Float32Precision::TF32);
    assert_true(setting(Float32Op::MATMUL) == Float32Precision::TF32);

    context.setFloat32Precision(Float32Backend::MKLDNN, Float32Op::CONV, Float32Precision::BF16);
    assert_int_equal(mb_torch::effective_precision(cpu, both), MB_BF16);
    mb_torch::set_precision(cpu, MB_FP32);
    assert_int_equal(mb_torch::effective_precision(cpu, both), MB_FP32);
    assert_true(setting(Float32Op::CONV) == Float32Precision::TF32); // each device's own
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_replays),
        cmocka_unit_test(test_other_buffers), cmocka_unit_test(test_many_buffers),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
