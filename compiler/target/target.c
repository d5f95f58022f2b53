/* The table of targets, from targets.def. */
#include "target/target.h"

#include <string.h>

#define TARGET(name) extern const Target target_##name;
#include "target/targets.def"
#undef TARGET

static const Target *const targets[] = {
#define TARGET(name) &target_##name,
#include "target/targets.def"
#undef TARGET
};

size_t target_count(void) { return sizeof targets / sizeof targets[0]; }

const Target *target_at(size_t i) { return targets[i]; }

const Target *target_find(const char *name) {
  for (size_t i = 0; i < target_count(); i++)
    if (strcmp(targets[i]->name, name) == 0)
      return targets[i];
  return NULL;
}
