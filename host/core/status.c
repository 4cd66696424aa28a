#include "status.h"

#include <stdarg.h>
#include <stdio.h>

enum mb_status mb_fail(struct mb_err *err, enum mb_status status, const char *format, ...) {
    if (err) {
        va_list args;
        err->status = status;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

const char *mb_status_name(enum mb_status status) {
    switch (status) {
    case MB_OK: return "ok";
    case MB_E_INVALID: return "invalid";
    case MB_E_PROGRAM: return "program rejected";
    case MB_E_UNSUPPORTED: return "unsupported";
    case MB_E_NOMEM: return "out of memory";
    case MB_E_DEVICE: return "device error";
    case MB_E_NUMERIC: return "wrong result";
    case MB_E_IO: return "I/O error";
    case MB_E_TIMEOUT: return "timeout";
    case MB_E_CRASHED: return "worker died";
    case MB_E_INTERRUPTED: return "interrupted";
    }
    return "unknown status";
}
