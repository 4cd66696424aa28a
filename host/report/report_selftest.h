/* Writer of the selftest's table (host/selftest). */
#ifndef MB_REPORT_SELFTEST_H
#define MB_REPORT_SELFTEST_H

#include "selftest.h"

#include <jansson.h>

#define MB_SELFTEST_FORMAT "mindbench-selftest"

/* The object that results/selftest.schema.json describes; the caller owns it. */
enum mb_status mb_report_selftest(const struct mb_selftest *selftest,
                                  const struct mb_selftest_config *config, json_t **out,
                                  struct mb_err *err);

#endif
