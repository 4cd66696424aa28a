/* Executors that misbehave on purpose, for trying to fool the harness (selftest.h). Each is the
 * honest `mind` on the CPU with something put in its way. They have the names selftest-*, and no
 * command but selftest knows them. */
#ifndef MB_CHEATS_H
#define MB_CHEATS_H

#include "backend.h"

/* Lets mb_executor_find find them, for the rest of the process's life. */
void mb_cheats_admit(void);

#endif
