/* order L1 L2 …: nests parallel loops in the given order.
 *
 * A loop sinks into the loops of its body that should be outside of it: it is
 * distributed over them (each gets a loop of its own) and changes places with
 * each. Both are legal if its iterations share neither a register nor memory
 * that one of them writes. A loop stays where it is if that is not certain, if
 * its body holds anything but loops, or if a loop inside has bounds that depend
 * on it. */
#include <string.h>

#include "loop/transform.h"

typedef struct Order {
  Transform *t;
  const char *const *labels;
  int n;
} Order;

/* The loop's place in the order, or -1. */
static int place(const Order *order, const Stmt *stmt) {
  if (stmt->kind == STMT_FOR)
    for (int i = 0; i < order->n; i++)
      if (strcmp(order->labels[i], stmt->label) == 0)
        return i;
  return -1;
}

static bool must_sink(const Order *order, const Stmt *loop) {
  int own = place(order, loop);
  if (own < 0 || !loop_is_parallel(loop) || !iterations_independent(loop))
    return false;
  bool wanted = false;
  for (size_t i = 0; i < loop->body.stmts.len; i++) {
    const Stmt *inner = loop->body.stmts.at[i];
    if (inner->kind != STMT_FOR || !loop_is_parallel(inner) || loop_bounds_use(inner, loop->var))
      return false;
    int other = place(order, inner);
    wanted |= other >= 0 && other < own;
  }
  return wanted;
}

/* A copy of `loop` with a variable of its own around `body` (which uses the loop's variable). */
static Stmt *around(const Order *order, const Stmt *loop, const Block *body) {
  Stmt *copy = ARENA_NEW(order->t->arena, Stmt);
  *copy = *loop;
  copy->var = transform_var(order->t, loop->label);
  Stmt holder = *loop;
  holder.body = *body;
  copy->body = transform_copy(order->t, &holder, affine_var(order->t->arena, copy->var));
  return copy;
}

static void order_block(const Order *order, Block *block);

static void push_ordered(const Order *order, Block *out, Stmt *stmt) {
  Arena *arena = order->t->arena;
  if (stmt->kind != STMT_FOR || !must_sink(order, stmt)) {
    block_push(arena, out, stmt);
    return;
  }
  int own = place(order, stmt);
  for (size_t i = 0; i < stmt->body.stmts.len; i++) {
    Stmt *inner = stmt->body.stmts.at[i];
    int other = place(order, inner);
    if (other < 0 || other > own) {
      Block single = {0};
      block_push(arena, &single, inner);
      push_ordered(order, out, around(order, stmt, &single));
      continue;
    }
    Block body = {0};
    push_ordered(order, &body, around(order, stmt, &inner->body));
    Stmt *outer = ARENA_NEW(arena, Stmt);
    *outer = *inner;
    outer->body = body;
    push_ordered(order, out, outer);
  }
}

static void order_block(const Order *order, Block *block) {
  Block out = {0};
  for (size_t i = 0; i < block->stmts.len; i++) {
    Stmt *stmt = block->stmts.at[i];
    order_block(order, &stmt->body);
    order_block(order, &stmt->otherwise);
    push_ordered(order, &out, stmt);
  }
  *block = out;
}

void loop_order(Transform *t, Block *block, const char *const *labels, int n) {
  Order order = {t, labels, n};
  order_block(&order, block);
}
