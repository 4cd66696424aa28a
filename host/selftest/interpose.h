/* Replaces a function of a library, for the calls that the program itself makes: its entry in the
 * global offset table is overwritten, which anything that is loaded into a process can do. */
#ifndef MB_INTERPOSE_H
#define MB_INTERPOSE_H

#include "status.h"

/* A function of any type. */
typedef void (*mb_function)(void);

/* MB_E_UNSUPPORTED when the program does not call `name` through its table. */
enum mb_status mb_interpose(const char *name, mb_function replacement, struct mb_err *err);

#endif
