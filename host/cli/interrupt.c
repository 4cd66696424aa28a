#include "interrupt.h"

#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t first_signal;
static int wake_pipe[2] = {-1, -1};

static void on_signal(int number) {
    if (first_signal) _exit(MB_EXIT_SIGNAL + number);
    first_signal = number;
    /* only to wake a poll; a full pipe wakes it as well */
    if (write(wake_pipe[1], "", 1) < 0) return;
}

int mb_interrupt_install(void) {
    struct sigaction action = {.sa_handler = on_signal};
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return wake_pipe[0];
}

int mb_interrupt_signal(void) { return first_signal; }
