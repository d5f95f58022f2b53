/* Start-up and services for a Cortex-M4 with an FPU, without a C library.
 *
 * The processor reads the stack pointer and the address of reset from the vector
 * table at 0 and starts there. Faults and interrupts, none of which is expected,
 * end the program with status 70. */
#include "board.h"

#include <stdbool.h>

int main(void);

/* ---- from the linker script: addresses, not objects ---- */

extern uint32_t flash_begin[], flash_end[];
extern uint32_t data_load[], data_begin[], data_end[];
extern uint32_t bss_begin[], bss_end[];
extern uint32_t ram_begin[], stack_limit[], stack_top[];

static uint32_t distance(const uint32_t *begin, const uint32_t *end) {
  return (uint32_t)((uintptr_t)end - (uintptr_t)begin);
}

uint32_t board_flash_bytes(void) { return distance(flash_begin, flash_end); }
uint32_t board_ram_bytes(void) { return distance(ram_begin, stack_top); }
uint32_t board_stack_bytes(void) { return distance(stack_limit, stack_top); }

/* ---- registers of the processor ---- */

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xe000ed88u)
#define CFSR REGISTER(0xe000ed28u)
#define SYSTICK_CONTROL REGISTER(0xe000e010u)
#define SYSTICK_RELOAD REGISTER(0xe000e014u)
#define SYSTICK_VALUE REGISTER(0xe000e018u)

enum { SYSTICK_ENABLE = 1 << 0, SYSTICK_PROCESSOR_CLOCK = 1 << 2, SYSTICK_WRAPPED = 1 << 16 };

/* ---- semihosting ---- */

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_print(const char *text) { semihost(SYS_WRITE0, text); }

static void print_in_base(uint32_t number, uint32_t base) {
  char text[11];
  char *first = &text[10];
  *first = '\0';
  do {
    *--first = "0123456789abcdef"[number % base];
    number /= base;
  } while (number != 0);
  board_print(first);
}

void board_print_number(uint32_t number) { print_in_base(number, 10); }

void board_print_hex(uint32_t number) {
  board_print("0x");
  print_in_base(number, 16);
}

_Noreturn void board_exit(int status) {
  const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)status};
  semihost(SYS_EXIT_EXTENDED, block);
  for (;;) {
  }
}

/* ---- the stack ---- */

#define PAINT 0x5aa5c33cu

static inline uint32_t *stack_pointer(void) {
  uint32_t *sp;
  __asm__ volatile("mov %0, sp" : "=r"(sp));
  return sp;
}

__attribute__((noinline)) void board_stack_paint(void) {
  uint32_t *sp = stack_pointer();
  for (volatile uint32_t *word = stack_limit; word < sp; word++)
    *word = PAINT;
}

uint32_t board_stack_used_bytes(void) {
  const volatile uint32_t *word = stack_limit;
  while (word < stack_top && *word == PAINT)
    word++;
  return distance((const uint32_t *)(uintptr_t)word, stack_top);
}

__attribute__((noinline)) uint32_t board_stack_now_bytes(void) { return distance(stack_pointer(), stack_top); }

/* ---- time ---- */

/* Writing the value clears it, and the next tick loads it from RELOAD: so it is 0
 * at first and then runs from RELOAD downwards. */
void board_ticks_start(void) {
  SYSTICK_CONTROL = 0;
  SYSTICK_RELOAD = BOARD_TICKS_MAX;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = SYSTICK_ENABLE | SYSTICK_PROCESSOR_CLOCK;
}

uint32_t board_ticks(void) {
  uint32_t value = SYSTICK_VALUE;
  bool wrapped = SYSTICK_CONTROL & SYSTICK_WRAPPED;
  return wrapped ? BOARD_TICKS_MAX : (0u - value) & BOARD_TICKS_MAX;
}

/* ---- start ---- */

static _Noreturn void unexpected(void) {
  uint32_t exception;
  __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
  board_print("unexpected exception ");
  board_print_number(exception);
  board_print(", fault status ");
  board_print_hex(CFSR);
  board_print("\n");
  board_exit(70);
}

_Noreturn void reset(void);

_Noreturn void reset(void) {
  /* The FPU first: the compiler may use its registers in any function. */
  CPACR |= 0xfu << 20; // CP10 and CP11, full access
  __asm__ volatile("dsb\n\tisb" ::: "memory");
  for (uint32_t *to = data_begin, *from = data_load; to < data_end;)
    *to++ = *from++;
  for (uint32_t *to = bss_begin; to < bss_end;)
    *to++ = 0;
  board_stack_paint();
  board_exit(main());
}

/* The sixteen entries that the architecture defines; no interrupt is ever enabled. */
typedef struct {
  uint32_t *stack;
  void (*reset)(void);
  void (*exceptions[14])(void);
} VectorTable;

extern const VectorTable vectors;
__attribute__((section(".vectors"), used)) const VectorTable vectors = {
    stack_top,
    reset,
    {unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected,
     unexpected, unexpected, unexpected, unexpected, unexpected},
};

/* ---- what compilers call even where there is no C library ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  unsigned char *t = to;
  const unsigned char *f = from;
  while (bytes--)
    *t++ = *f++;
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  unsigned char *t = to;
  while (bytes--)
    *t++ = (unsigned char)value;
  return to;
}
