/* Reads the text form of the loops: the parser's tree (syntax.h) gets its names
 * resolved, here what stands around values (read_value.c): statements, kernels,
 * buffers, the program. What is well formed but breaks an invariant is left to
 * loop_verify. */
#include "loop/reader.h"

#include <string.h>

#include "grammar/loops.h"
#define YYSTYPE MNL_STYPE
#define YYLTYPE Loc
#include "grammar/loops_scan.h"
#include "loop/schedule.h"
#include "weights/recipe.h"

/* ---- names ---- */

static void begin_names(Reader *r) {
  r->names = (PtrMap){.arena = r->arena};
  r->order.len = 0;
}

static void define(Reader *r, Loc loc, const char *text, NameKind kind, void *what) {
  Name *old = ptr_map_get(&r->names, text);
  if (old) {
    diag_error(r->diag, loc, "'%s' is already defined", text);
    diag_note(r->diag, old->loc, "the first '%s' is here", text);
    return;
  }
  Name *name = ARENA_NEW(r->arena, Name);
  *name = (Name){.text = text, .kind = kind, .what = what, .loc = loc, .visible = true};
  ptr_map_put(&r->names, text, name);
  VEC_PUSH(r->arena, r->order, name);
}

/* Ends the scope of everything defined since `mark`. */
static void close_scope(Reader *r, size_t mark) {
  for (size_t i = mark; i < r->order.len; i++)
    r->order.at[i]->visible = false;
}

static const char *const kind_names[] = {"buffer", "index variable", "value"};

void *reader_find(Reader *r, Loc loc, const char *text, NameKind kind) {
  Name *name = ptr_map_get(&r->names, text);
  if (name && name->visible && name->kind == kind)
    return name->what;
  if (name && !name->visible) {
    diag_error(r->diag, loc, "'%s' is not visible here", text);
    diag_note(r->diag, name->loc, "it ends with the block in which it is defined");
    return NULL;
  }
  if (name) {
    diag_error(r->diag, loc, "'%s' is a%s %s; this place needs a%s %s", text,
               name->kind == NAME_VAR ? "n" : "", kind_names[name->kind],
               kind == NAME_VAR ? "n" : "", kind_names[kind]);
    return NULL;
  }
  const char **words = ARENA_ARRAY(r->arena, const char *, r->order.len + 1);
  size_t n = 0;
  for (size_t i = 0; i < r->order.len; i++)
    if (r->order.at[i]->visible && r->order.at[i]->kind == kind)
      words[n++] = r->order.at[i]->text;
  const char *near = nearest_word(text, words, n);
  diag_error(r->diag, loc, "unknown %s '%s'%s%s%s", kind_names[kind], text,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  return NULL;
}

/* ---- statements ---- */

static void read_block(Reader *r, const MnlBlock *block, Block *out);

static const Affine **read_bound(Reader *r, const MnlExpr *e, const char *which, int *n) {
  bool is_list = e->kind == MNL_CALL && strcmp(e->text, which) == 0 && e->args.items.len > 0;
  size_t count = is_list ? e->args.items.len : 1;
  const Affine **list = ARENA_ARRAY(r->arena, const Affine *, count);
  for (size_t i = 0; i < count; i++)
    list[i] = read_index(r, is_list ? e->args.items.at[i] : e);
  *n = (int)count;
  return list;
}

static Stmt *read_for(Reader *r, const MnlStmt *s) {
  Stmt *loop = loop_stmt_new(r->arena, STMT_FOR);
  loop->lower = read_bound(r, s->lower, "max", &loop->n_lower);
  loop->upper = read_bound(r, s->upper, "min", &loop->n_upper);
  loop->step = s->step ? read_constant(r, s->step) : 1;
  loop->mode = (LoopMode)s->mode;
  loop->label = s->label ? s->label : loop_default_label(r->arena, s->name);
  loop->var = loop_var_new(r->arena, s->name);
  size_t mark = r->order.len;
  define(r, s->name_loc, s->name, NAME_VAR, loop->var);
  read_block(r, s->body, &loop->body);
  close_scope(r, mark);
  return loop;
}

static Stmt *read_if(Reader *r, const MnlStmt *s) {
  Stmt *branch = loop_stmt_new(r->arena, STMT_IF);
  size_t n = s->conditions->items.len;
  branch->conditions = ARENA_ARRAY(r->arena, const Affine *, n);
  for (size_t i = 0; i < n; i++) {
    const MnlCondition *c = &s->conditions->items.at[i];
    if (!c->right) {
      if (c->left->kind != MNL_NUMBER || strcmp(c->left->text, "true") != 0)
        diag_error(r->diag, c->left->loc, "a condition compares indices, as in y - 1 >= 0");
      continue;
    }
    bool swap = c->compare == MNL_LE || c->compare == MNL_LT;
    bool strict = c->compare == MNL_GT || c->compare == MNL_LT;
    const Affine *a = read_index(r, c->left), *b = read_index(r, c->right);
    const Affine *difference = swap ? affine_sub(r->arena, b, a) : affine_sub(r->arena, a, b);
    branch->conditions[branch->n_conditions++] =
        affine_add_const(r->arena, difference, strict ? -1 : 0);
  }
  read_block(r, s->body, &branch->body);
  if (s->otherwise)
    read_block(r, s->otherwise, &branch->otherwise);
  return branch;
}

static Stmt *read_call_kernel(Reader *r, const MnlStmt *s) {
  Kernel *callee = ptr_map_get(&r->kernels, s->name);
  if (!callee) {
    diag_error(r->diag, s->name_loc, "unknown kernel '%s'", s->name);
    return NULL;
  }
  size_t n = s->args ? s->args->items.len : 0, n_buffers = callee->buffers.len;
  if (n != n_buffers + callee->ints.len) {
    diag_error(r->diag, s->loc, "'%s' has %zu parameters, not %zu", s->name,
               n_buffers + callee->ints.len, n);
    return NULL;
  }
  Stmt *call = loop_stmt_new(r->arena, STMT_CALL);
  call->callee = callee;
  call->stage = s->label ? loop_stage(r->program, s->label) : NULL;
  call->buffers = ARENA_ARRAY(r->arena, Buffer *, n_buffers);
  call->ints = ARENA_ARRAY(r->arena, const Affine *, callee->ints.len);
  bool ok = true;
  for (size_t i = 0; i < n; i++) {
    const MnlExpr *arg = s->args->items.at[i];
    if (i >= n_buffers) {
      call->ints[i - n_buffers] = read_index(r, arg);
    } else if (arg->kind != MNL_NAME || arg->suffix) {
      diag_error(r->diag, arg->loc, "a buffer's name is needed here");
      ok = false;
    } else {
      call->buffers[i] = reader_find(r, arg->loc, arg->text, NAME_BUFFER);
      ok = ok && call->buffers[i];
    }
  }
  return ok ? call : NULL;
}

static Stmt *read_definition(Reader *r, const MnlStmt *s) {
  Stmt *stmt = loop_stmt_new(r->arena, s->kind == MNL_LET ? STMT_LET : STMT_VAR);
  Value *value = ARENA_NEW(r->arena, Value);
  value->name = s->name;
  value->is_mutable = s->kind == MNL_VAR;
  value->type = (Type){ELEM_F32, 1};
  if (read_type(r, s->type_loc, s->type, &value->type))
    stmt->expr = read_typed(r, s->expr, value->type);
  stmt->value = value;
  define(r, s->name_loc, s->name, NAME_VALUE, value);
  return stmt;
}

/* Null after an error that leaves nothing to go on with. */
static Stmt *read_stmt(Reader *r, const MnlStmt *s) {
  Stmt *stmt;
  int lanes;
  switch (s->kind) {
  case MNL_FOR:
    return read_for(r, s);
  case MNL_IF:
    return read_if(r, s);
  case MNL_LET:
  case MNL_VAR:
    return read_definition(r, s);
  case MNL_SET:
    stmt = loop_stmt_new(r->arena, STMT_SET);
    stmt->value = reader_find(r, s->name_loc, s->name, NAME_VALUE);
    if (!stmt->value)
      return NULL;
    stmt->expr = read_typed(r, s->expr, stmt->value->type);
    return stmt;
  case MNL_STORE:
    stmt = loop_stmt_new(r->arena, STMT_STORE);
    stmt->buffer = read_access(r, s->target, stmt->index);
    if (!stmt->buffer || !read_access_lanes(r, s->target, &lanes))
      return NULL;
    stmt->expr = read_typed(r, s->expr, (Type){stmt->buffer->elem, lanes});
    return stmt;
  case MNL_CALL_KERNEL:
    return read_call_kernel(r, s);
  case MNL_PREFETCH:
    stmt = loop_stmt_new(r->arena, STMT_PREFETCH);
    stmt->buffer = read_access(r, s->target, stmt->index);
    return stmt->buffer ? stmt : NULL;
  case MNL_PARALLEL:
  case MNL_BRANCH:
    stmt = loop_stmt_new(r->arena, s->kind == MNL_PARALLEL ? STMT_PARALLEL : STMT_BRANCH);
    read_block(r, s->body, &stmt->body);
    return stmt;
  }
  return NULL;
}

static void read_block(Reader *r, const MnlBlock *block, Block *out) {
  size_t mark = r->order.len;
  for (size_t i = 0; i < block->items.len; i++) {
    Stmt *stmt = read_stmt(r, block->items.at[i]);
    if (!stmt)
      continue;
    stmt->loc = block->items.at[i]->loc;
    block_push(r->arena, out, stmt);
  }
  close_scope(r, mark);
}

/* ---- buffers, kernels, the program ---- */

static void read_values(Reader *r, const MnlBuffer *b, Buffer *buffer) {
  size_t n = b->values->items.len;
  if (buffer_elems(buffer) != (int64_t)n) {
    diag_error(r->diag, b->contents_loc, "'%s' has %lld elements, not %zu", b->name,
               (long long)buffer_elems(buffer), n);
    return;
  }
  double *values = ARENA_ARRAY(r->arena, double, n);
  Type type = {buffer->elem, 1};
  for (size_t i = 0; i < n; i++) {
    const MnlExpr *e = b->values->items.at[i];
    if (e->suffix) {
      diag_error(r->diag, e->suffix_loc, "the buffer gives the type");
      continue;
    }
    Expr *c = read_value(r, e, &type);
    if (c && c->op != OP_CONST)
      diag_error(r->diag, e->loc, "a constant is needed here");
    else if (c)
      values[i] = buffer->elem == ELEM_F32 ? (double)c->fvalue : (double)c->ivalue;
  }
  buffer->values = values;
}

static void read_buffer_attr(Reader *r, const MnlAttr *attr, Buffer *buffer) {
  switch (attr->kind) {
  case MNL_ATTR_ALIGN:
    buffer->align = read_small(r, attr->a);
    return;
  case MNL_ATTR_NOTE:
    buffer->note = attr->text;
    return;
  case MNL_ATTR_NOALIAS:
    if (buffer->kind != BUFFER_PARAM)
      break;
    buffer->noalias = true;
    return;
  case MNL_ATTR_OFFSET:
    if (buffer->kind != BUFFER_ARENA)
      break;
    buffer->offset = read_constant(r, attr->a);
    return;
  case MNL_ATTR_LIVE:
    if (buffer->kind != BUFFER_ARENA)
      break;
    buffer->live_begin = read_small(r, attr->a);
    buffer->live_end = read_small(r, attr->b);
    return;
  case MNL_ATTR_MACS:
  case MNL_ATTR_STAGE:
  case MNL_ATTR_LAYERS:
  case MNL_ATTR_ARENA:
  case MNL_ATTR_THREADS:
    break;
  }
  diag_error(r->diag, attr->loc, "this attribute does not belong here");
}

static Buffer *read_buffer(Reader *r, const MnlBuffer *b) {
  static const BufferKind kinds[] = {BUFFER_INPUT, BUFFER_OUTPUT, BUFFER_WEIGHT, BUFFER_ARENA};
  int64_t dims[LOOP_MAX_RANK];
  Elem elem = ELEM_F32;
  if (!elem_find(b->elem, strlen(b->elem), &elem))
    diag_error(r->diag, b->elem_loc, "unknown element type '%s'", b->elem);
  size_t rank = b->dims ? b->dims->items.len : 0;
  if (rank > LOOP_MAX_RANK) {
    diag_error(r->diag, b->name_loc, "a buffer has at most %d dimensions", LOOP_MAX_RANK);
    rank = LOOP_MAX_RANK;
  }
  for (size_t i = 0; i < rank; i++)
    dims[i] = read_constant(r, b->dims->items.at[i]);
  Buffer *buffer = loop_buffer_new(r->arena, b->name, b->access ? BUFFER_PARAM : kinds[b->kind],
                                   elem, (int)rank, dims);
  buffer->loc = b->name_loc;
  if (b->access)
    buffer->access = (Access)b->access;
  for (size_t i = 0; b->attrs && i < b->attrs->items.len; i++)
    read_buffer_attr(r, b->attrs->items.at[i], buffer);
  if ((b->recipe || b->values) && buffer->kind != BUFFER_WEIGHT)
    diag_error(r->diag, b->contents_loc, "only a weight has contents");
  if (b->recipe) {
    const char *error = NULL;
    buffer->recipe = recipe_parse(r->arena, b->recipe, &error);
    if (!buffer->recipe)
      diag_error(r->diag, b->contents_loc, "%s", error);
  }
  if (b->values)
    read_values(r, b, buffer);
  define(r, b->name_loc, b->name, NAME_BUFFER, buffer);
  return buffer;
}

static void read_kernel(Reader *r, const MnlKernel *k) {
  Kernel *kernel = ARENA_NEW(r->arena, Kernel);
  kernel->name = k->name;
  kernel->note = k->note;
  kernel->loc = k->loc;
  kernel->schedule = k->schedule;
  const char *problem = k->schedule ? schedule_check(r->arena, k->schedule) : NULL;
  if (problem)
    diag_error(r->diag, k->schedule_loc, "%s", problem);
  begin_names(r);
  for (size_t i = 0; i < k->params->items.len; i++) {
    const MnlBuffer *param = k->params->items.at[i];
    if (!param->lo) {
      if (kernel->ints.len > 0)
        diag_error(r->diag, param->loc, "buffers come before the integer parameters");
      VEC_PUSH(r->arena, kernel->buffers, read_buffer(r, param));
      continue;
    }
    Var *var = loop_var_new(r->arena, param->name);
    var->is_param = true;
    var->lo = read_constant(r, param->lo);
    var->hi = read_constant(r, param->hi);
    define(r, param->name_loc, param->name, NAME_VAR, var);
    VEC_PUSH(r->arena, kernel->ints, var);
  }
  read_block(r, k->body, &kernel->body);
  if (ptr_map_get(&r->kernels, k->name))
    diag_error(r->diag, k->name_loc, "kernel '%s' is already defined", k->name);
  ptr_map_put(&r->kernels, k->name, kernel);
  VEC_PUSH(r->arena, r->program->kernels, kernel);
}

/* May exceed what an index holds. */
static int64_t read_macs(Reader *r, const MnlExpr *e) {
  int64_t macs = 0;
  if (e->kind != MNL_NUMBER)
    return read_constant(r, e);
  read_int(r, e, false, &macs);
  return macs;
}

static void read_program_attr(Reader *r, const MnlAttr *attr) {
  Program *program = r->program;
  switch (attr->kind) {
  case MNL_ATTR_MACS:
    program->macs = read_macs(r, attr->a);
    return;
  case MNL_ATTR_STAGE:
    loop_stage(program, attr->text)->note = attr->b->text;
    loop_stage(program, attr->text)->macs = read_macs(r, attr->a);
    return;
  case MNL_ATTR_LAYERS:
    program->layers = attr->text;
    return;
  case MNL_ATTR_ARENA:
    program->arena_bytes = read_constant(r, attr->a);
    return;
  case MNL_ATTR_ALIGN:
    program->arena_align = read_small(r, attr->a);
    return;
  case MNL_ATTR_THREADS:
    program->threads = read_small(r, attr->a);
    return;
  case MNL_ATTR_OFFSET:
  case MNL_ATTR_LIVE:
  case MNL_ATTR_NOALIAS:
  case MNL_ATTR_NOTE:
    return; /* the grammar has them for buffers only */
  }
}

static void read_program(Reader *r, const MnlProgram *p) {
  Program *program = r->program;
  for (size_t i = 0; p->attrs && i < p->attrs->items.len; i++)
    read_program_attr(r, p->attrs->items.at[i]);
  for (size_t i = 0; i < p->kernels.len; i++)
    read_kernel(r, p->kernels.at[i]);
  begin_names(r);
  int positions[BUFFER_PARAM + 1] = {0};
  for (size_t i = 0; i < p->buffers.items.len; i++) {
    Buffer *buffer = read_buffer(r, p->buffers.items.at[i]);
    if (buffer->kind == BUFFER_INPUT || buffer->kind == BUFFER_OUTPUT)
      buffer->position = positions[buffer->kind]++;
    VEC_PUSH(r->arena, program->buffers, buffer);
  }
  read_block(r, p->entry, &program->entry);
}

Program *loop_read(Arena *arena, Diag *diag, const Source *source) {
  MnlProgram tree = {0};
  MnlParser parser = {.arena = arena, .diag = diag, .source = source, .program = &tree};
  yyscan_t scanner;
  if (mnl_lex_init_extra(&parser, &scanner) != 0)
    BUG("no memory for the scanner");
  int errors = diag->errors;
  mnl__scan_bytes(source->text, (int)source->len, scanner);
  int status = mnl_parse(scanner, &parser);
  mnl_lex_destroy(scanner);
  if (status != 0 && !parser.failed)
    diag_error(diag, (Loc){source, 0, 0}, "syntax error");
  if (status != 0 || parser.failed)
    return NULL;

  Reader reader = {.arena = arena, .diag = diag, .kernels = {.arena = arena}};
  reader.program = loop_program_new(arena, tree.name);
  read_program(&reader, &tree);
  return diag->errors == errors ? reader.program : NULL;
}
