/* Output files that are never left half written.
 *
 * A regular file is written beside its target, flushed to disk and renamed over it, so that a
 * reader sees the old content or the new, never a part. What is no regular file (a pipe, a
 * terminal, a device) is written straight. The name "stdout" means standard output. Errors are
 * MB_E_IO with one line `cannot write NAME: WHY; TRY`. */
#ifndef MB_OUTFILE_H
#define MB_OUTFILE_H

#include "status.h"

#include <stdio.h>

struct mb_outfile;

/* Creates no folder. The target is untouched until commit. */
enum mb_status mb_outfile_open(const char *name, struct mb_outfile **out, struct mb_err *err);

/* Where to write; valid until commit or discard, and closed by neither the caller nor fclose.
 * Write errors need no check: commit reports them. */
FILE *mb_outfile_stream(struct mb_outfile *file);

/* Puts the content in its place and frees `file`. On failure the target is as it was and what was
 * written is removed. */
enum mb_status mb_outfile_commit(struct mb_outfile *file, struct mb_err *err);

/* The same without waiting for the disk, which takes tens of milliseconds: after a power failure
 * the file may be the old one, the new one or cut short. For what is checked when it is read and
 * can be made again. */
enum mb_status mb_outfile_commit_cache(struct mb_outfile *file, struct mb_err *err);

/* Gives up: removes what was written, leaves the target, frees `file`. NULL is fine. */
void mb_outfile_discard(struct mb_outfile *file);

#endif
