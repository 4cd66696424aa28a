/* The part of a result that says how sure its numbers are: settings of the statistics, processes,
 * states of the machine, controls. Written and read (json_io.h). Private to host/report. */
#ifndef MB_REPORT_NOISE_H
#define MB_REPORT_NOISE_H

#include "json_io.h"
#include "result.h"

void mb_report_statistics(struct mb_io_object *parent, struct mb_statistics *statistics);

/* Into the object of a row, behind its samples. Files written before there was all this lack it. */
void mb_report_noise(struct mb_io_object *row, struct mb_executor_result *executor);

#endif
