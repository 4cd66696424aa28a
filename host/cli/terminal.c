#include "terminal.h"

#include "cli.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int mb_terminal_columns(FILE *stream) {
    struct winsize size;
    int64_t columns;
    const char *text = getenv("COLUMNS");
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return text && mb_cli_integer(text, 1, 10000, &columns) ? (int)columns : 80;
}

void mb_terminal_progress(const char *benchmark, const char *what, double share_done) {
    char line[512];
    int columns = mb_terminal_columns(stderr);
    snprintf(line, sizeof line, "[%s] %s %3.0f %%", benchmark, what, share_done * 100);
    /* \033[K clears what a longer line before left behind */
    fprintf(stderr, "\r%.*s\033[K", columns > 1 ? columns - 1 : 1, line);
    fflush(stderr);
}

void mb_terminal_progress_clear(void) {
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
