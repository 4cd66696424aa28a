/* Executors that misbehave on purpose, for trying to fool the harness (selftest.h). Each is the
 * honest `mind` on the CPU with something put in its way. They have the names selftest-*, and no
 * command but selftest knows them. */
#ifndef MB_CHEATS_H
#define MB_CHEATS_H

#include "backend.h"

enum mb_cheat_expected { MB_CHEAT_INVALID, MB_CHEAT_SLOW };

struct mb_cheat {
    const char *name, *executor, *what;
    enum mb_cheat_expected expected; /* the least that must show; cheats.def */
};

extern const struct mb_cheat mb_cheats[];
extern const size_t mb_n_cheats;

/* Lets mb_executor_find find them, for the rest of the process's life. */
void mb_cheats_admit(void);

#endif
