/* The machine at hand: the best row of the table that it can run, with its own
 * cache sizes, compiled for its own processor. */
#include <unistd.h>
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "target/target.h"

#if defined(__aarch64__)
static bool has_dot_products(void) {
#if defined(__linux__)
  enum { ASIMDDP = 1 << 20 }; /* the kernel's HWCAP_ASIMDDP */
  return getauxval(AT_HWCAP) & ASIMDDP;
#else
  return false;
#endif
}
#endif

/* The row that this processor can run. */
static const char *best_row(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512vnni") ? "x86-64-v4-vnni" : "x86-64-v4";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return __builtin_cpu_supports("avxvnni") ? "x86-64-v3-vnni" : "x86-64-v3";
  return __builtin_cpu_supports("sse4.2") ? "x86-64-v2" : "generic";
#elif defined(__aarch64__)
  return has_dot_products() ? "aarch64-dotprod" : "aarch64";
#else
  return "generic";
#endif
}

static int64_t cache_bytes(int name, int64_t otherwise) {
  long bytes = sysconf(name);
  return bytes > 0 ? bytes : otherwise;
}

const Target *target_native(Arena *arena) {
  Target *target = ARENA_NEW(arena, Target);
  *target = *target_find(best_row());
  bool big = target->l1_bytes > 0;
  target->name = "native";
  target->description = "the machine that mncc runs on";
  target->triple = NULL;
  target->cpu = "native";
#ifdef _SC_LEVEL1_DCACHE_SIZE
  if (big) {
    target->l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, target->l1_bytes);
    target->l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, target->l2_bytes);
  }
#else
  (void)big;
#endif
  return target;
}
