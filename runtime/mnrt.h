/* mnrt: what a host program may want around a generated model.
 *
 * Generated code does not need this library: P_run takes an arena, the inputs
 * and the outputs, and that is all. On a host it is convenient to have
 *
 *   - an arena from the heap:         mnrt_arena_new, mnrt_arena_free
 *   - a weights file in memory:       mnrt_map_file or mnrt_load_file, mnrt_unmap_file
 *   - a model described as data, for programs that serve more than one:
 *                                     MnrtModel, mnrt_model_check, mnrt_tensor_bytes
 *   - threads, for models compiled with --threads: MnrtPool
 *   - the time, and time per layer:   mnrt_now_ns, MnrtProfile
 *
 * The library has no global state, prints nothing, and allocates nothing but
 * the arenas and pools that are asked for. All functions may be called from any thread; what
 * a pointer leads to belongs to one thread at a time. C99 and POSIX; usable from C++. */
#ifndef MNRT_H
#define MNRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a struct below changes. */
#define MNRT_ABI_VERSION 2

/* ---- results ---- */

typedef enum MnrtStatus {
  MNRT_OK = 0,
  MNRT_CANNOT_OPEN, /* errno says why */
  MNRT_NOT_A_FILE,  /* a folder, a pipe, a device */
  MNRT_WRONG_SIZE,  /* the file has not as many bytes as the model's weights */
  MNRT_CANNOT_MAP,  /* errno says why */
  MNRT_WRONG_ABI,   /* the descriptor was made for another version of this header */
  MNRT_BAD_MODEL    /* the descriptor contradicts itself */
} MnrtStatus;

/* A few words, lower case, static. */
const char *mnrt_status_text(MnrtStatus status);

/* ---- threads ---- */

/* What a model that is divided for several threads takes: run calls task(context, i) for each i in
 * 0..n-1, on any threads and in any order, and returns when all calls have returned. Generated
 * headers define the same type. */
#ifndef MNCC_PARALLEL
#define MNCC_PARALLEL 1
typedef struct mncc_parallel {
  void (*run)(void *self, int n, void (*task)(void *context, int index), void *context);
  void *self;
} mncc_parallel;
#endif

enum { MNRT_POOL_MAX_THREADS = 1024 };

enum {
  MNRT_POOL_PIN = 1,    /* each thread stays on a processor of its own, where the system can be asked for that */
  MNRT_POOL_NO_SPIN = 2 /* threads without work sleep at once; else they look for it for some 50 us first,
                         * which the steps of one inference rarely exceed */
};

/* A pool of `threads` threads, the caller's included: with 1 there are no others. Null if threads is
 * not 1..MNRT_POOL_MAX_THREADS or the system has no more. */
typedef struct MnrtPool MnrtPool;
MnrtPool *mnrt_pool_new(int threads, unsigned flags);
/* No run may be under way. Null is fine. */
void mnrt_pool_free(MnrtPool *pool);
/* Calls task(context, i) for i in 0..n-1 and returns when all have returned; the caller works too.
 * `pool` is a MnrtPool *. A call while another run is under way, also from inside of a task, runs its
 * tasks one after the other in the caller. */
void mnrt_pool_run(void *pool, int n, void (*task)(void *context, int index), void *context);
/* The pool as a model takes it; it holds while the pool does. */
mncc_parallel mnrt_pool_parallel(MnrtPool *pool);

/* ---- a model as data ---- */

enum { MNRT_MAX_RANK = 6 };

typedef enum MnrtType { MNRT_F32 = 0, MNRT_I8, MNRT_U8, MNRT_I16, MNRT_I32 } MnrtType;

/* An input or output: dense, row-major, images as [height, width, channels]. */
typedef struct MnrtTensor {
  const char *name;
  MnrtType type;
  int rank;
  int64_t dims[MNRT_MAX_RANK];
  /* Of integer types: real value = scale * (value - zero_point). scale 0: plain numbers. */
  float scale;
  int32_t zero_point;
} MnrtTensor;

typedef struct MnrtModel {
  uint32_t abi_version; /* MNRT_ABI_VERSION; stays the first field */
  const char *name;
  size_t arena_bytes, arena_align; /* what run needs; the alignment is a power of two */
  int threads;                     /* that the work is divided for; 1: run looks at no `parallel` */
  size_t weight_bytes;             /* of the weights blob; 0: the weights are in the code */
  size_t n_inputs, n_outputs;
  const MnrtTensor *inputs, *outputs;
  /* One inference. `parallel` is null where there are no threads to be had. `weights` is null where weight_bytes is 0. One pointer for each input and
   * output, in the order of the arrays above. Re-entrant: one arena for each call in flight. */
  void (*run)(const mncc_parallel *parallel, const void *weights, void *arena,
              const void *const *inputs, void *const *outputs);
} MnrtModel;

/* MNRT_OK, MNRT_WRONG_ABI or MNRT_BAD_MODEL. After MNRT_OK no size below overflows. */
MnrtStatus mnrt_model_check(const MnrtModel *model);

/* Bytes of one element; 0 for a value that is no type. */
size_t mnrt_type_bytes(MnrtType type);
/* Elements and bytes of a tensor; 0 where they are not a size_t or a dimension is not positive. */
size_t mnrt_tensor_elems(const MnrtTensor *tensor);
size_t mnrt_tensor_bytes(const MnrtTensor *tensor);

/* ---- arenas ---- */

/* `bytes` bytes at a multiple of `align`, a power of two. Null without memory or with another
 * align. The contents are not set: a model does not read what it has not written.
 * bytes == 0 is fine and gives a pointer to be freed like any other. Half a megabyte and more lie in large pages where
 * the system has them, and take whole ones: up to 1.5 megabytes more than `bytes`. */
void *mnrt_arena_new(size_t bytes, size_t align);
void mnrt_arena_free(void *arena); /* null is fine */

/* ---- weights in a file ---- */

typedef struct MnrtMapping {
  const void *data; /* read only, aligned to a page */
  size_t bytes;
  size_t taken; /* of memory, for mnrt_unmap_file */
} MnrtMapping;

/* Maps a regular file of exactly `bytes` bytes. On an error *mapping is {NULL, 0, 0}.
 * The file must not be shortened while it is mapped. */
MnrtStatus mnrt_map_file(MnrtMapping *mapping, const char *path, size_t bytes);
/* The same, but reads the file into memory of the process's own, in large pages where the system has them. It costs the
 * memory and the reading once; a model of more than a few megabytes of weights then runs faster, because it touches fewer
 * pages. Released by mnrt_unmap_file. Whatever becomes of the file later does not matter. */
MnrtStatus mnrt_load_file(MnrtMapping *mapping, const char *path, size_t bytes);
void mnrt_unmap_file(MnrtMapping *mapping); /* twice is fine */

/* ---- time ---- */

/* Nanoseconds on a clock that never goes back, from no particular start. */
uint64_t mnrt_now_ns(void);

/* Time per layer. The caller owns the entries, one for each layer, and points the model's hooks at
 * them before its header is included, for example in a file given to the compiler by -include:
 *
 *     #include "mnrt.h"
 *     extern MnrtProfile profile; // elsewhere: MnrtProfile profile = {entries, n};
 *     #define P_PROFILE_BEGIN(layer) mnrt_profile_begin(&profile, (layer))
 *     #define P_PROFILE_END(layer) mnrt_profile_end(&profile, (layer))
 *
 * A profile is for one thread at a time. Layers may nest; a layer beyond `n` is ignored. */
typedef struct MnrtProfileEntry {
  uint64_t calls; /* finished ones */
  uint64_t total_ns, min_ns, max_ns;
  uint64_t begin_ns; /* of the call under way */
} MnrtProfileEntry;

typedef struct MnrtProfile {
  MnrtProfileEntry *entries;
  size_t n;
} MnrtProfile;

void mnrt_profile_reset(MnrtProfile *profile);
void mnrt_profile_begin(MnrtProfile *profile, size_t layer);
void mnrt_profile_end(MnrtProfile *profile, size_t layer);

#ifdef __cplusplus
}
#endif

#endif
