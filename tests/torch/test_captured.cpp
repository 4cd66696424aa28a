// The bookkeeping of recorded work (host/torch/captured.cpp), with a recorder of closures in CUDA's
// place: which buffers are recorded anew, which are replayed, and what a failure leaves behind.
#include "runner.hpp"

#include <ATen/ATen.h>

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

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_other_buffers),
        cmocka_unit_test(test_many_buffers),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
