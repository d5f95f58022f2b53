/* Arenas: everything a compilation builds lives in one and goes with it.
 *
 * Memory comes zeroed and aligned for any type. Nothing in an arena is freed
 * singly. Running out of memory is fatal (message, exit status 3). */
#ifndef MNCC_SUPPORT_ARENA_H
#define MNCC_SUPPORT_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *arena); /* null is fine */

/* `size` zeroed bytes; size 0 yields a unique valid pointer. */
void *arena_alloc(Arena *arena, size_t size);

/* `count * size` zeroed bytes, overflow checked (fatal). */
void *arena_alloc_array(Arena *arena, size_t count, size_t size);

#define ARENA_NEW(arena, T) ((T *)arena_alloc((arena), sizeof(T)))
#define ARENA_ARRAY(arena, T, n) ((T *)arena_alloc_array((arena), (size_t)(n), sizeof(T)))

/* A NUL-terminated copy of `len` bytes. */
char *arena_strndup(Arena *arena, const char *text, size_t len);

/* printf into the arena. */
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Bytes handed out so far (for --verbose). */
size_t arena_used_bytes(const Arena *arena);

/* Interned strings: one address per text within an arena, so that `==`
 * compares. The table belongs to the arena. */
const char *intern(Arena *arena, const char *text);
const char *intern_n(Arena *arena, const char *text, size_t len);

/* For whoever mallocs: says that memory ran out and exits with 3. */
_Noreturn void out_of_memory(void);

/* An internal inconsistency that a release build must stop at too: prints
 * place, message and "please report", exits with 70. Never for user input. */
_Noreturn void bug_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
