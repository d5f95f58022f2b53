/* A board that is the machine itself, so that the firmware's main.c runs as a host
 * program and its results can be compared. It measures nothing. */
#include "board.h"

#include <stdio.h>

void board_print(const char *text) { fputs(text, stdout); }
void board_print_number(uint32_t number) { printf("%lu", (unsigned long)number); }
void board_print_hex(uint32_t number) { printf("0x%lx", (unsigned long)number); }

void board_stack_paint(void) {}
uint32_t board_stack_used_bytes(void) { return 0; }
uint32_t board_stack_now_bytes(void) { return 0; }
uint32_t board_stack_bytes(void) { return 1; }

void board_ticks_start(void) {}
uint32_t board_ticks(void) { return 0; }

uint32_t board_flash_bytes(void) { return 0; }
uint32_t board_ram_bytes(void) { return 0; }
