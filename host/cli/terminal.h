/* What is shown on a terminal while a run goes on. */
#ifndef MB_TERMINAL_H
#define MB_TERMINAL_H

#include <stdio.h>

/* Width of the terminal behind `stream`, else of $COLUMNS, else 80. */
int mb_terminal_columns(FILE *stream);

/* One line on stderr, overwritten each time: "[mlp_batch32] timing  45 %". */
void mb_terminal_progress(const char *benchmark, const char *what, double share_done);
void mb_terminal_progress_clear(void);

#endif
