/* The text form of the loops, which read.c reads back.
 *
 * Constants are written bare where the reader knows the type they must have:
 * it passes types down from the statement and across the operands of an
 * operation that wants them equal. Elsewhere they carry it, as in `1:i32`.
 * Vector accesses say their lanes (`b[c]:8`), conversions their result. */
#include "loop/loop.h"

#include <inttypes.h>
#include <string.h>

#include "loop/internal.h"
#include "weights/recipe.h"

/* ---- indices ---- */

static bool is_plain_var(const Affine *a) {
  return a->constant == 0 && a->n == 1 && a->terms[0].kind == ATOM_VAR && a->terms[0].coef == 1;
}

static void print_atom(Writer *w, const Term *t) {
  if (t->kind == ATOM_VAR) {
    write_text(w, t->var->name);
    return;
  }
  bool plain = is_plain_var(t->inside);
  write_text(w, plain ? "" : "(");
  affine_print(w, t->inside);
  write_f(w, "%s%c%" PRId64, plain ? "" : ")", t->kind == ATOM_DIV ? '/' : '%', t->divisor);
}

void affine_print(Writer *w, const Affine *a) {
  /* `1 - y` reads better than `-y + 1`. */
  bool constant_first = a->n == 0 || (a->terms[0].coef < 0 && a->constant > 0);
  if (constant_first)
    write_f(w, "%" PRId64, a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *t = &a->terms[i];
    bool leads = i == 0 && !constant_first;
    bool negative = t->coef < 0;
    uint64_t size = negative ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
    write_text(w, leads ? (negative ? "-" : "") : negative ? " - " : " + ");
    bool parens = t->kind != ATOM_VAR && (size != 1 || (leads && negative));
    if (size != 1)
      write_f(w, "%" PRIu64 "*", size);
    write_text(w, parens ? "(" : "");
    print_atom(w, t);
    write_text(w, parens ? ")" : "");
  }
  if (!constant_first && a->constant != 0) {
    uint64_t size = a->constant < 0 ? 0 - (uint64_t)a->constant : (uint64_t)a->constant;
    write_f(w, " %c %" PRIu64, a->constant < 0 ? '-' : '+', size);
  }
}

static void print_index(Writer *w, const Buffer *buffer, const Affine *const *index) {
  write_text(w, buffer->name);
  if (buffer->rank == 0)
    write_text(w, "[]");
  for (int i = 0; i < buffer->rank; i++) {
    write_text(w, "[");
    affine_print(w, index[i]);
    write_text(w, "]");
  }
}

/* ---- expressions ---- */

static void print_type(Writer *w, Type t) {
  write_text(w, elem_name(t.elem));
  if (t.lanes != 1)
    write_f(w, "x%d", t.lanes);
}

/* Whether the reader finds the type of this expression in the expression itself. */
static bool tells_its_type(const Expr *e) {
  if (e->op == OP_CONST || e->op == OP_SPLAT)
    return false;
  OperandAgreement agree = loop_operand_agreement(e->op);
  if (!agree.with_result)
    return true;
  for (int i = agree.first; i <= agree.last; i++)
    if (tells_its_type(e->args[i]))
      return true;
  return false;
}

static void print_expr(Writer *w, const Expr *e, bool known, int level);

/* Operands first..last, which have one type, known or told by one of them. */
static void print_operands(Writer *w, const Expr *e, int first, int last, bool known) {
  for (int i = first; i <= last; i++)
    known |= tells_its_type(e->args[i]);
  for (int i = first; i <= last; i++) {
    write_text(w, i > first ? ", " : "");
    print_expr(w, e->args[i], known, 0);
  }
}

static void print_call(Writer *w, const Expr *e, int first, int last, bool known) {
  write_f(w, "%s(", loop_op_name(e->op));
  print_operands(w, e, first, last, known);
  write_text(w, ")");
}

static void print_suffix(Writer *w, Type t) {
  write_text(w, ":");
  print_type(w, t);
}

static void print_const(Writer *w, const Expr *e, bool known) {
  char text[32];
  if (e->type.elem == ELEM_F32) {
    format_f32(text, e->fvalue);
    write_text(w, text);
  } else if (e->type.elem == ELEM_MASK) {
    write_text(w, e->ivalue ? "true" : "false");
  } else {
    write_f(w, "%" PRId64, e->ivalue);
  }
  if (!known)
    print_suffix(w, e->type);
}

/* level 1 and 2: an operand of + or -, of * or /; binary operations below it need parentheses. */
static void print_infix(Writer *w, const Expr *e, bool known, int level) {
  int own = e->op == OP_ADD || e->op == OP_SUB ? 1 : 2;
  char sign = e->op == OP_ADD ? '+' : e->op == OP_SUB ? '-' : e->op == OP_MUL ? '*' : '/';
  known |= tells_its_type(e->args[0]) || tells_its_type(e->args[1]);
  write_text(w, own < level ? "(" : "");
  print_expr(w, e->args[0], known, own);
  write_f(w, " %c ", sign);
  print_expr(w, e->args[1], known, own + 1);
  write_text(w, own < level ? ")" : "");
}

static void print_expr(Writer *w, const Expr *e, bool known, int level) {
  switch (e->op) {
  case OP_CONST:
    print_const(w, e, known);
    return;
  case OP_VALUE:
    write_text(w, e->value->name);
    return;
  case OP_LOAD:
    print_index(w, e->buffer, e->index);
    if (e->type.lanes != 1)
      write_f(w, ":%d", e->type.lanes);
    return;
  case OP_INDEX:
    write_text(w, "index(");
    affine_print(w, e->index[0]);
    write_text(w, ")");
    return;
  case OP_SPLAT:
    write_text(w, "splat(");
    print_expr(w, e->args[0], known, 0);
    write_text(w, ")");
    if (!known)
      write_f(w, ":%d", e->type.lanes);
    return;
  case OP_LANE:
    write_text(w, "lane(");
    print_expr(w, e->args[0], false, 0);
    write_f(w, ", %" PRId64 ")", e->ivalue);
    return;
  case OP_SHUFFLE:
    write_text(w, "shuffle(");
    print_operands(w, e, 0, 1, false);
    write_text(w, ", [");
    for (int i = 0; i < e->type.lanes; i++)
      write_f(w, "%s%d", i ? ", " : "", e->lanes[i]);
    write_text(w, "])");
    return;
  case OP_ADD:
  case OP_SUB:
  case OP_MUL:
  case OP_DIV:
    print_infix(w, e, known, level);
    return;
  case OP_MIN:
  case OP_MAX:
  case OP_FMA:
  case OP_NEG:
  case OP_ABS:
  case OP_SQRT:
  case OP_AND:
  case OP_OR:
  case OP_XOR:
  case OP_NOT:
  case OP_SHL:
  case OP_SHR:
  case OP_MULHI:
    print_call(w, e, 0, loop_op_arity(e->op) - 1, known);
    return;
  case OP_MADD:
  case OP_DOT4:
    write_f(w, "%s(", loop_op_name(e->op));
    print_expr(w, e->args[0], false, 0);
    write_text(w, ", ");
    print_expr(w, e->args[1], false, 0);
    write_text(w, ", ");
    print_expr(w, e->args[2], true, 0); /* i32, with the lanes that the factors tell */
    write_text(w, ")");
    return;
  case OP_EQ:
  case OP_LT:
  case OP_LE:
    print_call(w, e, 0, 1, false);
    return;
  case OP_SELECT:
    write_text(w, "select(");
    print_expr(w, e->args[0], false, 0);
    write_text(w, ", ");
    print_operands(w, e, 1, 2, known);
    write_text(w, ")");
    return;
  case OP_FLOOR:
  case OP_NEAREST:
    print_call(w, e, 0, 0, false);
    return;
  case OP_CONVERT:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_BITCAST:
  case OP_PACK:
    print_call(w, e, 0, loop_op_arity(e->op) - 1, false);
    print_suffix(w, e->type);
    return;
  case OP_TABLE:
    write_f(w, "table(%s, ", e->buffer->name);
    print_expr(w, e->args[0], false, 0);
    write_text(w, ")");
    return;
  case OP_COUNT:
    return;
  }
}

/* ---- statements ---- */

static void print_block(Writer *w, const Block *block);

static void print_bound(Writer *w, const char *which, const Affine *const *list, int n) {
  if (n != 1)
    write_f(w, "%s(", which);
  for (int i = 0; i < n; i++) {
    write_text(w, i ? ", " : "");
    affine_print(w, list[i]);
  }
  if (n != 1)
    write_text(w, ")");
}

static void print_for(Writer *w, const Stmt *s) {
  write_f(w, "for %s in ", s->var->name);
  print_bound(w, "max", s->lower, s->n_lower);
  write_text(w, "..");
  print_bound(w, "min", s->upper, s->n_upper);
  if (s->step != 1)
    write_f(w, " by %" PRId64, s->step);
  if (s->mode != LOOP_SERIAL)
    write_text(w, s->mode == LOOP_UNROLL ? " unroll" : " vector");
  if (s->label) {
    Arena *scratch = arena_new();
    if (strcmp(s->label, loop_default_label(scratch, s->var->name)) != 0) {
      write_text(w, " label ");
      write_quoted(w, s->label);
    }
    arena_free(scratch);
  }
  write_text(w, " {\n");
  print_block(w, &s->body);
  write_text(w, "}\n");
}

static void print_if(Writer *w, const Stmt *s) {
  write_text(w, "if (");
  for (int i = 0; i < s->n_conditions; i++) {
    write_text(w, i ? " && " : "");
    affine_print(w, s->conditions[i]);
    write_text(w, " >= 0");
  }
  if (s->n_conditions == 0)
    write_text(w, "true");
  write_text(w, ") {\n");
  print_block(w, &s->body);
  if (s->otherwise.stmts.len > 0) {
    write_text(w, "} else {\n");
    print_block(w, &s->otherwise);
  }
  write_text(w, "}\n");
}

static void print_note(Writer *w, const char *note) {
  if (!note)
    return;
  write_text(w, " ");
  write_quoted(w, note);
}

static void print_call_stmt(Writer *w, const Stmt *s) {
  write_f(w, "call %s(", s->callee->name);
  for (size_t i = 0; i < s->callee->buffers.len; i++)
    write_f(w, "%s%s", i ? ", " : "", s->buffers[i]->name);
  for (size_t i = 0; i < s->callee->ints.len; i++) {
    write_text(w, i + s->callee->buffers.len ? ", " : "");
    affine_print(w, s->ints[i]);
  }
  write_text(w, ")");
  print_note(w, s->stage ? s->stage->path : NULL);
  write_text(w, "\n");
}

static void print_stmt(Writer *w, const Stmt *s) {
  switch (s->kind) {
  case STMT_FOR:
    print_for(w, s);
    return;
  case STMT_IF:
    print_if(w, s);
    return;
  case STMT_LET:
  case STMT_VAR:
    write_f(w, "%s %s: ", s->kind == STMT_LET ? "let" : "var", s->value->name);
    print_type(w, s->value->type);
    break;
  case STMT_SET:
    write_f(w, "set %s", s->value->name);
    break;
  case STMT_STORE:
    print_index(w, s->buffer, s->index);
    if (s->expr->type.lanes != 1)
      write_f(w, ":%d", s->expr->type.lanes);
    break;
  case STMT_CALL:
    print_call_stmt(w, s);
    return;
  case STMT_PREFETCH:
    write_text(w, "prefetch ");
    print_index(w, s->buffer, s->index);
    write_text(w, "\n");
    return;
  case STMT_PARALLEL:
  case STMT_BRANCH:
    write_text(w, s->kind == STMT_PARALLEL ? "parallel {\n" : "branch {\n");
    print_block(w, &s->body);
    write_text(w, "}\n");
    return;
  }
  write_text(w, " = ");
  print_expr(w, s->expr, true, 0);
  write_text(w, "\n");
}

static void print_block(Writer *w, const Block *block) {
  w->indent++;
  for (size_t i = 0; i < block->stmts.len; i++)
    print_stmt(w, block->stmts.at[i]);
  w->indent--;
}

/* ---- the program ---- */

static void print_buffer_type(Writer *w, const Buffer *b) {
  write_f(w, "%s: %s", b->name, elem_name(b->elem));
  for (int i = 0; i < b->rank; i++)
    write_f(w, "[%" PRId64 "]", b->dims[i]);
}

static void print_align(Writer *w, const Buffer *b) {
  if (b->align != elem_bytes(b->elem))
    write_f(w, " align %d", b->align);
}

void loop_print_kernel(Writer *w, const Kernel *kernel) {
  write_f(w, "kernel %s(\n", kernel->name);
  w->indent += 2;
  size_t n = kernel->buffers.len + kernel->ints.len;
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    const Buffer *b = kernel->buffers.at[i];
    write_text(w, b->access == ACCESS_IN ? "in " : b->access == ACCESS_OUT ? "out " : "inout ");
    print_buffer_type(w, b);
    write_text(w, b->noalias ? " noalias" : "");
    print_align(w, b);
    print_note(w, b->note);
    write_text(w, i + 1 < n ? ",\n" : "\n");
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    const Var *v = kernel->ints.at[i];
    write_f(w, "int %s in %" PRId64 "..%" PRId64, v->name, v->lo, v->hi);
    write_text(w, kernel->buffers.len + i + 1 < n ? ",\n" : "\n");
  }
  w->indent -= 2;
  write_text(w, ")");
  print_note(w, kernel->note);
  if (kernel->schedule) {
    write_text(w, " schedule ");
    write_quoted(w, kernel->schedule);
  }
  write_text(w, " {\n");
  print_block(w, &kernel->body);
  write_text(w, "}\n");
}

static void print_values(Writer *w, const Buffer *b) {
  int64_t n = buffer_elems(b);
  write_text(w, " = {");
  w->indent += 2;
  for (int64_t i = 0; i < n; i++) {
    write_text(w, i == 0 ? (n > 16 ? "\n" : "") : i % 16 == 0 ? ",\n" : ", ");
    char text[32];
    if (b->elem == ELEM_F32) {
      format_f32(text, (float)b->values[i]);
      write_text(w, text);
    } else {
      write_f(w, "%.0f", b->values[i]);
    }
  }
  w->indent -= 2;
  write_text(w, n > 16 ? "\n}" : "}");
}

static void print_buffer(Writer *w, const Buffer *b) {
  static const char *const kinds[] = {"input", "output", "weight", "arena", "param"};
  write_text(w, "buffer ");
  print_buffer_type(w, b);
  write_f(w, " %s", kinds[b->kind]);
  print_align(w, b);
  if (b->kind == BUFFER_ARENA && b->offset >= 0)
    write_f(w, " offset %" PRId64 " live %d..%d", b->offset, b->live_begin, b->live_end);
  print_note(w, b->note);
  if (b->kind == BUFFER_WEIGHT && b->recipe) {
    Writer text;
    writer_init(&text);
    recipe_print(&text, b->recipe);
    write_text(w, " = recipe ");
    write_quoted(w, text.data ? text.data : "");
    writer_free(&text);
  } else if (b->kind == BUFFER_WEIGHT && b->values) {
    print_values(w, b);
  }
  write_text(w, "\n");
}

void loop_print(Writer *w, const Program *program) {
  write_f(w, "program %s\n", program->name);
  if (program->macs != 0)
    write_f(w, "macs %" PRId64 "\n", program->macs);
  for (size_t i = 0; i < program->stages.len; i++) {
    const ProgramStage *stage = program->stages.at[i];
    write_text(w, "stage ");
    write_quoted(w, stage->path);
    print_note(w, stage->note);
    write_f(w, " macs %" PRId64 "\n", stage->macs);
  }
  if (program->arena_bytes >= 0)
    write_f(w, "arena %" PRId64 "\n", program->arena_bytes);
  if (program->arena_align != 1)
    write_f(w, "align %d\n", program->arena_align);
  if (program->threads != 1)
    write_f(w, "threads %d\n", program->threads);
  if (program->layers) {
    write_text(w, "layers ");
    write_quoted(w, program->layers);
    write_text(w, "\n");
  }
  write_text(w, "\n");
  for (size_t i = 0; i < program->buffers.len; i++)
    print_buffer(w, program->buffers.at[i]);
  for (size_t i = 0; i < program->kernels.len; i++) {
    write_text(w, "\n");
    loop_print_kernel(w, program->kernels.at[i]);
  }
  write_text(w, "\nentry {\n");
  print_block(w, &program->entry);
  write_text(w, "}\n");
}
