/* Status codes and the error text that travels with them.
 *
 * Every fallible function returns an `enum mb_status` and tells the story in a `struct mb_err`
 * that the caller owns (NULL when the caller does not want the text). Out parameters are written
 * only on MB_OK. Library code never prints, never exits and never aborts. */
#ifndef MB_STATUS_H
#define MB_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum mb_status {
    MB_OK = 0,
    MB_E_INVALID,     /* an argument, an option or a file's content makes no sense */
    MB_E_PROGRAM,     /* the MIND program was rejected; the diagnostics say why */
    MB_E_UNSUPPORTED, /* sound, but this backend or build cannot do it */
    MB_E_NOMEM,
    MB_E_DEVICE,  /* a device, driver or library call failed; its own error name is in the text */
    MB_E_NUMERIC, /* a result is outside its tolerance */
    MB_E_IO,
    MB_E_TIMEOUT,
    MB_E_CRASHED,     /* a worker process ended without being told to */
    MB_E_INTERRUPTED, /* SIGINT or SIGTERM */
};

struct mb_err {
    enum mb_status status;
    char text[512]; /* WHAT: WHY; TRY. One line, no trailing newline. */
};

/* Writes `status` and the formatted text to `err` (may be NULL) and returns `status`,
 * so that a failing function can end in `return mb_fail(err, MB_E_IO, ...)`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
enum mb_status
mb_fail(struct mb_err *err, enum mb_status status, const char *format, ...);

/* "invalid", "program rejected", ...: a short name for logs and JSON. Static storage. */
const char *mb_status_name(enum mb_status status);

/* For functions with a local `enum mb_status st` and one exit labelled `out`. */
#define MB_TRY(call)                                                                               \
    do {                                                                                           \
        if ((st = (call)) != MB_OK) goto out;                                                      \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
