/* The host library of mnrt.h: thin wrappers over POSIX that get the details
 * right once (alignment, sizes checked before use, errno kept). */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#if !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* madvise */
#endif

#include "mnrt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *mnrt_status_text(MnrtStatus status) {
  switch (status) {
  case MNRT_OK:
    return "fine";
  case MNRT_CANNOT_OPEN:
    return "cannot open the file";
  case MNRT_NOT_A_FILE:
    return "not a regular file";
  case MNRT_WRONG_SIZE:
    return "the file has another size than the model's weights";
  case MNRT_CANNOT_MAP:
    return "cannot map the file";
  case MNRT_WRONG_ABI:
    return "the model was made for another version of the runtime";
  case MNRT_BAD_MODEL:
    return "the model's description contradicts itself";
  }
  return "unknown status";
}

/* ---- a model as data ---- */

size_t mnrt_type_bytes(MnrtType type) {
  switch (type) {
  case MNRT_F32:
  case MNRT_I32:
    return 4;
  case MNRT_I16:
    return 2;
  case MNRT_I8:
  case MNRT_U8:
    return 1;
  }
  return 0;
}

size_t mnrt_tensor_elems(const MnrtTensor *tensor) {
  if (tensor->rank < 0 || tensor->rank > MNRT_MAX_RANK)
    return 0;
  size_t elems = 1;
  for (int i = 0; i < tensor->rank; i++) {
    int64_t dim = tensor->dims[i];
    if (dim < 1 || (uint64_t)dim > SIZE_MAX / elems)
      return 0;
    elems *= (size_t)dim;
  }
  return elems;
}

size_t mnrt_tensor_bytes(const MnrtTensor *tensor) {
  size_t elems = mnrt_tensor_elems(tensor), bytes = mnrt_type_bytes(tensor->type);
  return bytes == 0 || elems > SIZE_MAX / bytes ? 0 : elems * bytes;
}

static int is_power_of_two(size_t x) { return x != 0 && (x & (x - 1)) == 0; }

static int tensors_ok(const MnrtTensor *tensors, size_t n) {
  if (n > 0 && !tensors)
    return 0;
  for (size_t i = 0; i < n; i++)
    if (!tensors[i].name || mnrt_tensor_bytes(&tensors[i]) == 0)
      return 0;
  return 1;
}

MnrtStatus mnrt_model_check(const MnrtModel *model) {
  if (model->abi_version != MNRT_ABI_VERSION)
    return MNRT_WRONG_ABI;
  if (!model->name || !model->run || model->threads < 1 || !is_power_of_two(model->arena_align) ||
      !tensors_ok(model->inputs, model->n_inputs) || !tensors_ok(model->outputs, model->n_outputs))
    return MNRT_BAD_MODEL;
  return MNRT_OK;
}

/* ---- arenas ---- */

enum { LARGE_PAGE = 2 << 20 }; /* of most processors with 4 KiB pages */

/* Bytes to take for so many: another large page where they fill a quarter of it. */
static size_t whole_large_pages(size_t bytes) {
  size_t rest = bytes % LARGE_PAGE;
  return rest >= LARGE_PAGE / 4 && bytes <= SIZE_MAX - LARGE_PAGE ? bytes - rest + LARGE_PAGE : bytes;
}

/* A wish only: a system without large pages has small ones. */
static void wish_large_pages(void *memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes >= LARGE_PAGE)
    (void)madvise(memory, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

void *mnrt_arena_new(size_t bytes, size_t align) {
  if (!is_power_of_two(align))
    return NULL;
  if (align < sizeof(void *))
    align = sizeof(void *); /* posix_memalign wants no less */
  bytes = whole_large_pages(bytes);
  if (bytes >= LARGE_PAGE && align < LARGE_PAGE)
    align = LARGE_PAGE;
  void *arena;
  if (posix_memalign(&arena, align, bytes ? bytes : 1) != 0)
    return NULL;
  wish_large_pages(arena, bytes);
  return arena;
}

void mnrt_arena_free(void *arena) { free(arena); }

/* ---- weights in a file ---- */

static MnrtStatus check_open_file(int fd, size_t bytes) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return MNRT_CANNOT_OPEN;
  if (!S_ISREG(status.st_mode))
    return MNRT_NOT_A_FILE;
  return status.st_size < 0 || (uintmax_t)status.st_size != bytes ? MNRT_WRONG_SIZE : MNRT_OK;
}

static MnrtStatus map_open_file(MnrtMapping *mapping, int fd, size_t bytes) {
  void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return MNRT_CANNOT_MAP;
  mapping->data = data;
  mapping->bytes = mapping->taken = bytes;
  return MNRT_OK;
}

/* `bytes` bytes of fresh memory that begin at a multiple of a large page; null without memory. */
static unsigned char *map_memory(size_t bytes) {
  if (bytes > SIZE_MAX - LARGE_PAGE)
    return NULL;
  unsigned char *all = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED)
    return NULL;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t before = (LARGE_PAGE - (uintptr_t)all % LARGE_PAGE) % LARGE_PAGE;
  size_t used = before + (bytes + page - 1) / page * page, behind = bytes + LARGE_PAGE;
  behind = (behind + page - 1) / page * page;
  if (before)
    munmap(all, before);
  if (behind > used)
    munmap(all + used, behind - used);
  return all + before;
}

static MnrtStatus read_open_file(MnrtMapping *mapping, int fd, size_t bytes) {
  size_t taken = whole_large_pages(bytes);
  unsigned char *data = map_memory(taken);
  if (!data)
    return MNRT_CANNOT_MAP;
  wish_large_pages(data, taken);
  for (size_t at = 0; at < bytes;) {
    ssize_t got = read(fd, data + at, bytes - at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) { /* shortened meanwhile, or a broken disk */
      int saved = errno;
      munmap(data, taken);
      errno = saved;
      return got == 0 ? MNRT_WRONG_SIZE : MNRT_CANNOT_OPEN;
    }
    at += (size_t)got;
  }
  (void)mprotect(data, taken, PROT_READ);
  mapping->data = data;
  mapping->bytes = bytes;
  mapping->taken = taken;
  return MNRT_OK;
}

static MnrtStatus open_file(MnrtMapping *mapping, const char *path, size_t bytes,
                            MnrtStatus fill(MnrtMapping *mapping, int fd, size_t bytes)) {
  *mapping = (MnrtMapping){NULL, 0, 0};
  /* O_NONBLOCK: opening a pipe must not wait for somebody to write. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return MNRT_CANNOT_OPEN;
  MnrtStatus status = check_open_file(fd, bytes);
  if (status == MNRT_OK && bytes == 0)
    mapping->data = ""; /* mmap refuses it, and there is nothing to read */
  else if (status == MNRT_OK)
    status = fill(mapping, fd, bytes);
  int saved = errno; /* close must not hide the reason */
  close(fd);
  errno = saved;
  return status;
}

MnrtStatus mnrt_map_file(MnrtMapping *mapping, const char *path, size_t bytes) {
  return open_file(mapping, path, bytes, map_open_file);
}

MnrtStatus mnrt_load_file(MnrtMapping *mapping, const char *path, size_t bytes) {
  return open_file(mapping, path, bytes, read_open_file);
}

void mnrt_unmap_file(MnrtMapping *mapping) {
  if (mapping->taken)
    munmap((void *)(uintptr_t)mapping->data, mapping->taken);
  *mapping = (MnrtMapping){NULL, 0, 0};
}

/* ---- time ---- */

uint64_t mnrt_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: POSIX.1-2008 systems have this clock */
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void mnrt_profile_reset(MnrtProfile *profile) {
  for (size_t i = 0; i < profile->n; i++)
    profile->entries[i] = (MnrtProfileEntry){0, 0, 0, 0, 0};
}

void mnrt_profile_begin(MnrtProfile *profile, size_t layer) {
  if (layer < profile->n)
    profile->entries[layer].begin_ns = mnrt_now_ns();
}

void mnrt_profile_end(MnrtProfile *profile, size_t layer) {
  uint64_t now = mnrt_now_ns(); /* first, so that what follows is not counted */
  if (layer >= profile->n)
    return;
  MnrtProfileEntry *entry = &profile->entries[layer];
  uint64_t spent = now - entry->begin_ns;
  if (entry->calls == 0 || spent < entry->min_ns)
    entry->min_ns = spent;
  if (spent > entry->max_ns)
    entry->max_ns = spent;
  entry->total_ns += spent;
  entry->calls++;
}
