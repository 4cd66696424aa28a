/* Files that lie beside the program, and Python for the scripts among them. */
#ifndef MB_SCRIPT_H
#define MB_SCRIPT_H

#include <limits.h>
#include <stdbool.h>

/* The path of a file named from the folder that the program lies in: the texts of `before`, `name`
 * and `after` put together. False when it cannot be read. */
bool mb_beside_program(char path[PATH_MAX], const char *before, const char *name,
                       const char *after);

/* Python: $MINDBENCH_PYTHON, else that of .venv beside the program's folder, else python3 to be
 * looked for on PATH. Nothing is started. */
void mb_script_python(char python[PATH_MAX]);

#endif
