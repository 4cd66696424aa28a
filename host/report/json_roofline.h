/* Ceilings, rooflines and operations in a result's JSON, written and read (json_io.h). Files from
 * before there were any lack the keys. Private to host/report. */
#ifndef MB_JSON_ROOFLINE_H
#define MB_JSON_ROOFLINE_H

#include "json_io.h"
#include "result.h"

void mb_json_ceilings(struct mb_io_object *whole, struct mb_result *result);

/* roofline and operations of a row. */
void mb_json_roofline(struct mb_io_object *row, struct mb_executor_result *e);

#endif
