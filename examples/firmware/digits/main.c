/* Runs the digits network on the images stored in the firmware, prints what it
 * recognises and what a run costs.
 *
 * It knows of the network what model.h says and nothing else. Status 0: all images
 * were run and the stack was large enough; 1: the stack was used to its end. Whether
 * the network is right is for the reader of the output to say. */
#include <string.h>

#include "board.h"
#include "images.h"
#include "model.h"

enum { PIXELS = 64, CLASSES = 10 };

_Static_assert(DIGITS_IN_IMAGE_ELEMS == PIXELS, "images.h has 8 x 8 pixels");
_Static_assert(DIGITS_OUT_SCORES_ELEMS == CLASSES, "ten classes");

/* Under QEMU with -icount shift=0 an instruction takes 1 ns, and a clock of 25 MHz
 * ticks once in 40 of them: so the ticks of 40 runs are the instructions of one. */
enum { TIMED_RUNS = 40, TIMED_MHZ = 25 };

DIGITS_ARENA(arena);
static float image[PIXELS], logits[CLASSES], scores[CLASSES];

static void load_image(const StoredImage *stored) {
  for (int i = 0; i < PIXELS; i++)
    image[i] = (float)stored->pixels[i] / (float)stored->maxval;
}

static int best_class(void) {
  int best = 0;
  for (int digit = 1; digit < CLASSES; digit++)
    if (scores[digit] > scores[best])
      best = digit;
  return best;
}

/* FNV-1a over the bits of the logits, so that one different bit anywhere shows. */
static uint32_t hash_logits(uint32_t hash) {
  for (int i = 0; i < CLASSES; i++) {
    uint32_t bits;
    memcpy(&bits, &logits[i], sizeof bits);
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ ((bits >> shift) & 0xff)) * 16777619u;
  }
  return hash;
}

static uint32_t ticks_of_timed_runs(void) {
  board_ticks_start();
  for (int i = 0; i < TIMED_RUNS; i++)
    digits_run(arena, image, logits, scores);
  return board_ticks();
}

/* Three decimals, rounded. */
static void print_score(float score) {
  uint32_t thousandths = (uint32_t)(score * 1000.0f + 0.5f);
  board_print_number(thousandths / 1000);
  board_print(thousandths % 1000 < 10 ? ".00" : thousandths % 1000 < 100 ? ".0" : ".");
  board_print_number(thousandths % 1000);
}

static void print_result(const StoredImage *stored, int digit) {
  board_print(stored->name);
  board_print(" expected ");
  board_print_number(stored->label);
  board_print(" recognised ");
  board_print_number((uint32_t)digit);
  board_print(" score ");
  print_score(scores[digit]);
  board_print("\n");
}

static void print_quantity(const char *name, uint32_t number, const char *unit) {
  board_print(name);
  board_print(" ");
  board_print_number(number);
  board_print(unit);
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

int main(void) {
  uint32_t right = 0, hash = 2166136261u, stack_bytes = 0, run_stack_bytes = 0;
  for (int i = 0; i < N_STORED_IMAGES; i++) {
    const StoredImage *stored = &stored_images[i];
    load_image(stored);
    board_stack_paint();
    digits_run(arena, image, logits, scores);
    run_stack_bytes = larger(run_stack_bytes, board_stack_used_bytes() - board_stack_now_bytes());
    hash = hash_logits(hash);
    int digit = best_class();
    right += digit == stored->label;
    print_result(stored, digit);
    stack_bytes = larger(stack_bytes, board_stack_used_bytes());
  }
  load_image(&stored_images[0]);
  uint32_t ticks = ticks_of_timed_runs();

  print_quantity("right", right, " of ");
  board_print_number(N_STORED_IMAGES);
  board_print("\nlogits checksum ");
  board_print_hex(hash);
  board_print("\n");
  print_quantity("arena", DIGITS_ARENA_BYTES, " bytes\n");
  print_quantity("stack", stack_bytes, " bytes of ");
  print_quantity("which digits_run", run_stack_bytes, " bytes\n");
  if (ticks == BOARD_TICKS_MAX)
    board_print("instructions per inference: more than the timer can count\n");
  else
    print_quantity("instructions", ticks * TIMED_MHZ / BOARD_MHZ, " per inference\n");
  print_quantity("flash", board_flash_bytes(), " bytes of ");
  print_quantity("which weights", DIGITS_WEIGHT_BYTES, " bytes\n");
  print_quantity("ram", board_ram_bytes(), " bytes of ");
  print_quantity("which stack", board_stack_bytes(), " bytes\n");
  return stack_bytes == board_stack_bytes();
}
