/* Statements. A statement on vectors is one loop over the lanes whose right-hand side is the tree
 * printed for lane `l`; a subtree that lane `l` cannot be printed for by itself (a shuffle, a
 * scalar to be loaded once) is put into a temporary before. A vector that only repeats a scalar
 * stays a scalar. */
#include <inttypes.h>

#include "target/c_emitter.h"

/* ---- temporaries ---- */

static void lane_loop_c(Emitter *e, int lanes) {
  e->needs_lane_loop = true;
  write_f(e->w, "LANE_LOOP for (int %s = 0; %s < %d; ++%s)\n", e->lane, e->lane, lanes, e->lane);
}

/* `name` (declared already, if a vector) gets the lanes of `expr`. */
static void fill_vector_c(Emitter *e, const char *name, const Expr *expr) {
  if (expr->op == OP_SHUFFLE && !c_is_slice(expr) && !c_map_get(&e->temps, expr)) {
    for (int i = 0; i < expr->type.lanes; i++) {
      write_f(e->w, "%s[%d] = ", name, i);
      c_kept(e, expr, (Lane){0, i});
      write_text(e->w, ";\n");
    }
    return;
  }
  lane_loop_c(e, expr->type.lanes);
  write_f(e->w, "  %s[%s] = ", name, e->lane);
  c_kept(e, expr, C_EACH_LANE);
  write_text(e->w, ";\n");
}

/* Is it a value of a vector type that can be printed as it stands? */
static bool is_whole(const Emitter *e, const Expr *expr) {
  return c_is_vector(e, expr->type) && (c_spells(e, expr) || c_map_get(&e->temps, expr));
}

/* `T name = ...;` of a vector type. */
static void define_vector_c(Emitter *e, const char *name, const Expr *expr, bool constant) {
  const char *type = c_vector_type(e, expr->type);
  if (is_whole(e, expr)) {
    write_f(e->w, "%s%s %s = ", constant ? "const " : "", type, name);
    if (constant)
      c_vector_let(e, expr);
    else
      c_vector(e, expr);
    write_text(e->w, ";\n");
  } else if (expr->op == OP_SHUFFLE) {
    write_f(e->w, "%s%s %s = {", constant ? "const " : "", type, name);
    for (int i = 0; i < expr->type.lanes; i++) {
      write_text(e->w, i ? ", " : "");
      c_kept(e, expr, (Lane){0, i});
    }
    write_text(e->w, "};\n");
  } else { /* zeros, or compilers would warn that the other lanes have no value */
    write_f(e->w, "%s %s = {0};\n", type, name);
    fill_vector_c(e, name, expr);
  }
}

static void make_temp(Emitter *e, const Expr *expr) {
  if (c_map_get(&e->temps, expr))
    return;
  const char *name = c_new_temp(e);
  if (c_is_vector(e, expr->type)) {
    define_vector_c(e, name, expr, true);
  } else if (expr->type.lanes > 1) {
    write_f(e->w, "%s %s[%d];\n", c_type(expr->type.elem), name, expr->type.lanes);
    fill_vector_c(e, name, expr);
  } else {
    write_f(e->w, "const %s %s = ", c_type(expr->type.elem), name);
    c_kept(e, expr, C_LANE_0);
    write_text(e->w, ";\n");
  }
  c_map_put(e->arena, &e->temps, expr, (void *)(uintptr_t)name);
}

static void count_visits(Emitter *e, const Expr *expr) {
  static char once, twice;
  void *seen = c_map_get(&e->visits, expr);
  c_map_put(e->arena, &e->visits, expr, seen ? &twice : &once);
  if (!seen)
    for (int i = 0; i < loop_op_arity(expr->op); i++)
      count_visits(e, expr->args[i]);
}

static bool visited_twice(Emitter *e, const Expr *expr, const Expr *root) {
  /* The root is visited once; what is seen oftener has another mark. */
  return expr != root && c_map_get(&e->visits, expr) != c_map_get(&e->visits, root);
}

static bool is_leaf(const Expr *expr) { return loop_op_arity(expr->op) == 0; }

/* Where a tree over vector types and one that is printed lane by lane meet. */
static void prepare_operands(Emitter *e, const Expr *expr) {
  bool whole = c_spells(e, expr);
  if (whole && expr->op == OP_SHUFFLE) /* reads memory */
    return;
  for (int i = 0; i < loop_op_arity(expr->op); i++) {
    const Expr *operand = expr->args[i];
    if (operand->type.lanes == 1)
      continue;
    bool mask = operand->type.elem == ELEM_MASK, spells = c_spells(e, operand);
    if (whole && !spells && !mask)
      make_temp(e, operand);
    if (!whole && spells && !mask && operand->op == OP_SPLAT && !c_is_plain(e, operand->args[0]))
      make_temp(e, operand->args[0]);
    else if (!whole && spells && !mask && !is_leaf(operand) && operand->op != OP_SPLAT)
      make_temp(e, operand);
  }
}

/* Writes what must be computed before the statement, operands first: nodes that occur twice,
 * scalars to be repeated, operands whose lanes are picked one by one. With `loop`, the statement
 * is a loop over lanes. */
static void prepare(Emitter *e, const Expr *expr, const Expr *root, bool loop) {
  if (c_map_get(&e->temps, expr) || is_leaf(expr))
    return;
  bool vector = expr->type.lanes > 1;
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    prepare(e, expr->args[i], root, expr->op == OP_LANE ? false : loop);
  if (expr->op == OP_SPLAT && !c_is_plain(e, expr->args[0]) && !c_spells(e, expr))
    make_temp(e, expr->args[0]);
  if (vector)
    prepare_operands(e, expr);
  if (c_spells(e, expr)) { /* a mask is never kept */
    if (visited_twice(e, expr, root) && expr->type.elem != ELEM_MASK && expr->op != OP_SPLAT)
      make_temp(e, expr);
    return;
  }
  if (expr->op == OP_DOT4) /* each operand is printed four times */
    for (int i = 0; i < 2; i++)
      if (!c_is_plain(e, expr->args[i]) && expr->args[i]->op != OP_LOAD)
        make_temp(e, expr->args[i]);
  if ((visited_twice(e, expr, root) && expr->op != OP_SPLAT) ||
      (expr->op == OP_SHUFFLE && !c_is_slice(expr) && vector && loop && expr != root))
    make_temp(e, expr);
}

/* Does lane i of the result need another lane of what `value` holds? */
static bool crosses_lanes(Emitter *e, const Expr *expr, const Value *value, bool crossing) {
  if (expr->op == OP_VALUE)
    return crossing && expr->value == value;
  if (c_map_get(&e->temps, expr))
    return false;
  crossing = crossing || expr->op == OP_SHUFFLE || expr->op == OP_PACK || expr->op == OP_DOT4 ||
             expr->op == OP_LANE;
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    if (crosses_lanes(e, expr->args[i], value, crossing))
      return true;
  return false;
}

/* Could storing one lane change what another lane loads? */
static bool meets_store(Emitter *e, const Stmt *store, const Expr *expr) {
  if (c_map_get(&e->temps, expr))
    return false;
  if (expr->op == OP_LOAD || expr->op == OP_TABLE) {
    const Buffer *from = expr->buffer, *to = store->buffer;
    if (from != to)
      return from->kind == BUFFER_PARAM && to->kind == BUFFER_PARAM && !from->noalias &&
             !to->noalias;
    if (expr->op == OP_TABLE)
      return true;
    for (int i = 0; i < to->rank; i++)
      if (!affine_equal(expr->index[i], store->index[i]))
        return true;
    return false;
  }
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    if (meets_store(e, store, expr->args[i]))
      return true;
  return false;
}

/* ---- statements ---- */

static void begin_statement(Emitter *e, const Expr *expr) {
  c_map_clear(&e->visits);
  c_map_clear(&e->temps);
  count_visits(e, expr);
  prepare(e, expr, expr, expr->type.lanes > 1);
}

static void define_c(Emitter *e, const Stmt *stmt) {
  const Value *value = stmt->value;
  const char *name = c_name_of(e, value), *type = c_type(value->type.elem);
  bool vector = value->type.lanes > 1;
  const Expr *expr = stmt->expr;
  bool whole = c_is_vector(e, value->type);
  if (vector && !whole && stmt->kind == STMT_LET &&
      (expr->op == OP_SPLAT || expr->op == OP_CONST)) {
    c_map_put(e->arena, &e->repeats, value, e);
    expr = c_below_splat(expr);
    vector = false;
  }
  begin_statement(e, expr);
  if (whole) {
    define_vector_c(e, name, expr, stmt->kind == STMT_LET);
  } else if (vector) {
    write_f(e->w, "%s %s[%d];\n", type, name, value->type.lanes);
    fill_vector_c(e, name, expr);
  } else {
    write_f(e->w, "%s%s %s = ", stmt->kind == STMT_LET ? "const " : "", type, name);
    c_kept(e, expr, C_LANE_0);
    write_text(e->w, ";\n");
  }
  if (!c_map_get(&e->used, value))
    write_f(e->w, "(void)%s;\n", name);
}

static void set_c(Emitter *e, const Stmt *stmt) {
  const char *name = c_name_of(e, stmt->value);
  begin_statement(e, stmt->expr);
  if (c_is_vector(e, stmt->value->type)) {
    if (!is_whole(e, stmt->expr))
      make_temp(e, stmt->expr);
    write_f(e->w, "%s = ", name);
    c_vector(e, stmt->expr);
    write_text(e->w, ";\n");
  } else if (stmt->value->type.lanes > 1) {
    if (crosses_lanes(e, stmt->expr, stmt->value, false))
      make_temp(e, stmt->expr);
    fill_vector_c(e, name, stmt->expr);
  } else {
    write_f(e->w, "%s = ", name);
    c_kept(e, stmt->expr, C_LANE_0);
    write_text(e->w, ";\n");
  }
}

static void store_c(Emitter *e, const Stmt *stmt) {
  const Expr *expr = stmt->expr;
  begin_statement(e, expr);
  /* Bytes that are computed a lane at a time are stored so: they need no register first. */
  if (c_is_vector(e, expr->type) && (is_whole(e, expr) || elem_bytes(expr->type.elem) > 1)) {
    if (!is_whole(e, expr))
      make_temp(e, expr);
    c_vector_store(e, stmt);
    return;
  }
  if (expr->type.lanes > 1) {
    if ((expr->op == OP_SHUFFLE && !c_is_slice(expr)) || meets_store(e, stmt, expr))
      make_temp(e, expr);
    lane_loop_c(e, expr->type.lanes);
    write_text(e->w, "  ");
    c_element(e, stmt->buffer, stmt->index, C_EACH_LANE);
    write_text(e->w, " = ");
    c_kept(e, expr, C_EACH_LANE);
  } else {
    c_element(e, stmt->buffer, stmt->index, C_LANE_0);
    write_text(e->w, " = ");
    c_kept(e, expr, C_LANE_0);
  }
  write_text(e->w, ";\n");
}

/* A bound as text that may stand in the loop's head: the affine itself, or the name of a constant
 * that gets the extremum of several first. */
static void bound_c(Emitter *e, const Stmt *stmt, const Affine *const *bounds, int n, bool lower,
                    const char **name) {
  *name = NULL;
  const char *what =
      arena_printf(e->arena, "%s_%s", c_name_of(e, stmt->var), lower ? "begin" : "end");
  for (int i = 1; i < n; i++) {
    const char *next = c_names_claim(e->local_names, what);
    write_f(e->w, "const %s %s = ", e->index_type, next);
    for (int part = 0; part < 2; part++) { /* a > b ? a : b */
      if (*name)
        write_text(e->w, *name);
      else
        c_affine(e, bounds[0], SUM);
      write_text(e->w, part ? " : " : lower ? " > " : " < ");
      c_affine(e, bounds[i], SUM);
      write_text(e->w, part ? ";\n" : " ? ");
    }
    *name = next;
  }
}

/* Statements on vector types in the loop itself, not in loops inside. */
static bool holds_vectors(const Emitter *e, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_IF &&
        (holds_vectors(e, &stmt->body) || holds_vectors(e, &stmt->otherwise)))
      return true;
    if (stmt->kind != STMT_IF && stmt->expr && c_is_vector(e, stmt->expr->type))
      return true;
  }
  return false;
}

static void for_c(Emitter *e, const Stmt *stmt) {
  const char *var = c_name_of(e, stmt->var), *begin, *end;
  bound_c(e, stmt, stmt->lower, stmt->n_lower, true, &begin);
  bound_c(e, stmt, stmt->upper, stmt->n_upper, false, &end);
  if (holds_vectors(e, &stmt->body)) {
    e->needs_vector_loop = true;
    write_text(e->w, "VECTOR_LOOP ");
  }
  write_f(e->w, "for (%s %s = ", e->index_type, var);
  if (begin)
    write_text(e->w, begin);
  else
    c_affine(e, stmt->lower[0], LOOSE);
  write_f(e->w, "; %s < ", var);
  if (end)
    write_text(e->w, end);
  else
    c_affine(e, stmt->upper[0], SUM);
  if (stmt->step == 1)
    write_f(e->w, "; ++%s) {\n", var);
  else
    write_f(e->w, "; %s += %" PRId64 ") {\n", var, stmt->step);
  e->w->indent++;
  c_block(e, &stmt->body);
  e->w->indent--;
  write_text(e->w, "}\n");
}

static void if_c(Emitter *e, const Stmt *stmt) {
  write_text(e->w, "if (");
  bool any = false, never = false;
  for (int i = 0; i < stmt->n_conditions; i++) {
    int64_t constant;
    if (affine_is_const(stmt->conditions[i], &constant)) {
      never = never || constant < 0;
      continue;
    }
    write_text(e->w, any ? " && " : "");
    c_affine(e, stmt->conditions[i], SUM);
    write_text(e->w, " >= 0");
    any = true;
  }
  if (never)
    write_text(e->w, any ? " && 0" : "0");
  else if (!any)
    write_text(e->w, "1");
  write_text(e->w, ") {\n");
  e->w->indent++;
  c_block(e, &stmt->body);
  e->w->indent--;
  if (stmt->otherwise.stmts.len) {
    write_text(e->w, "} else {\n");
    e->w->indent++;
    c_block(e, &stmt->otherwise);
    e->w->indent--;
  }
  write_text(e->w, "}\n");
}

/* which: "begin" or "end" of a stage */
static void profile_c(Emitter *e, const ProgramStage *stage, const char *which) {
  if (e->options->profile)
    write_f(e->w, "%s_profile_%s(%s, %d);\n", e->prefix, which, e->arena_name, stage->index);
  else
    write_f(e->w, "%s_PROFILE_%s(%d);\n", e->upper, c_upper(e->arena, which), stage->index);
}

static void call_stmt_c(Emitter *e, const Stmt *stmt) {
  const Kernel *kernel = stmt->callee;
  if (stmt->stage)
    profile_c(e, stmt->stage, "begin");
  write_f(e->w, "%s(", c_name_of(e, kernel));
  bool first = true;
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    write_f(e->w, "%s%s", first ? "" : ", ", c_name_of(e, stmt->buffers[i]));
    first = false;
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    write_text(e->w, first ? "" : ", ");
    c_affine(e, stmt->ints[i], LOOSE);
    first = false;
  }
  write_text(e->w, ");\n");
  if (stmt->stage)
    profile_c(e, stmt->stage, "end");
}

void c_stmt(Emitter *e, const Stmt *stmt) {
  switch (stmt->kind) {
  case STMT_FOR:
    for_c(e, stmt);
    return;
  case STMT_IF:
    if_c(e, stmt);
    return;
  case STMT_LET:
  case STMT_VAR:
    define_c(e, stmt);
    return;
  case STMT_SET:
    set_c(e, stmt);
    return;
  case STMT_STORE:
    store_c(e, stmt);
    return;
  case STMT_CALL:
    call_stmt_c(e, stmt);
    return;
  case STMT_PARALLEL:
    c_parallel_stmt(e, stmt);
    return;
  case STMT_BRANCH:
    BUG("a branch outside of its parallel statement");
  case STMT_PREFETCH:
    c_map_clear(&e->temps);
    write_f(e->w, "%s((uintptr_t)%s + %d * (uintptr_t)(", c_helper(e, "prefetch"), c_name_of(e, stmt->buffer),
            elem_bytes(stmt->buffer->elem)); /* as a number: it may lie outside */
    c_affine(e, c_flat_index(e, stmt->buffer, stmt->index), LOOSE);
    write_text(e->w, "));\n");
    return;
  }
}

void c_block(Emitter *e, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++)
    c_stmt(e, block->stmts.at[i]);
}
