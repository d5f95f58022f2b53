/* What the unit tests share: a check that is counted when it fails. */
#ifndef MNCC_TEST_CHECK_H
#define MNCC_TEST_CHECK_H

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                           \
  ((condition)                                                                                     \
       ? (void)0                                                                                   \
       : (void)(failures++, fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition)))

#endif
