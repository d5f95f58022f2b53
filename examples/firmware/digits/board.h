/* The board: what main.c needs of the machine below it. board.c starts the
 * processor and calls main; mps2-an386.ld says where everything lies. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Output and the end of the program go through semihosting: to QEMU, or to the
 * debugger that holds the board. */
void board_print(const char *text);
void board_print_number(uint32_t number);
void board_print_hex(uint32_t number);
_Noreturn void board_exit(int status);

/* The stack below the caller's frame is filled with a pattern; later the deepest
 * word that has lost it shows how far the stack has been. Both count from the top
 * of the stack. Memory that a frame reserves and never writes is not seen. */
void board_stack_paint(void);
uint32_t board_stack_used_bytes(void);
uint32_t board_stack_now_bytes(void);

/* Ticks of the processor's clock since the start, at most BOARD_TICKS_MAX; that
 * value means that there were more. */
#define BOARD_TICKS_MAX 0xffffffu
void board_ticks_start(void);
uint32_t board_ticks(void);

/* The clock's frequency, from the Makefile. */
#ifndef BOARD_MHZ
#define BOARD_MHZ 25
#endif

/* From the linker script. Flash: code, constants and the initial values of data;
 * RAM: data, bss and the stack. */
uint32_t board_flash_bytes(void);
uint32_t board_ram_bytes(void);
uint32_t board_stack_bytes(void);

#endif
