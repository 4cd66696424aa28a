/* What a CUDA device did, as CUPTI's activity records tell it: kernels, copies and fills with their
 * times to the nanosecond, also those that a graph launched.
 *
 * libcupti is opened at run time: the copy that the process has loaded already (libtorch brings
 * one), else the one of the loader's path or of a CUDA Toolkit. One recording in a process at a
 * time; it slows the host, so nothing is timed meanwhile. Failures carry CUPTI's own name:
 * "cuptiActivityEnable: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES (35)". */
#ifndef MB_ACTIVITY_H
#define MB_ACTIVITY_H

#include "trace_log.h"

/* From here on the device's activity of this process goes to the log, which it borrows. Best
 * before the first CUDA call. MB_E_UNSUPPORTED where there is no libcupti, or none was known when
 * this was built; MB_E_DEVICE when a call fails. */
enum mb_status mb_activity_start(struct mb_trace_log *log, struct mb_err *err);

/* Records of all that has ended on the device are in the log when it returns; wait for the device
 * before. The error is the first one since the last call. MB_OK when nothing is being recorded. */
enum mb_status mb_activity_flush(struct mb_err *err);

/* Ends the recording, with a last flush, and tells what was lost. */
enum mb_status mb_activity_stop(struct mb_err *err);

#endif
