/* A planned Program as one strict C99 file, which is C++ too.
 *
 * Each kernel becomes a static function over flat pointers, the entry becomes
 * PREFIX_run. Scalars are plain locals. A vector value is a local array, and a
 * statement on vectors one loop over the lanes whose right-hand side is the
 * expression tree printed for lane `l`; a subtree that lane `l` cannot be
 * printed for by itself (a shuffle, a scalar to be loaded once) is put into a
 * temporary before. A vector that only repeats a scalar stays a scalar.
 *
 * Kernels are written first, into a text of their own, so that only those
 * helper functions come before them that they call. Integer arithmetic avoids
 * what C leaves undefined or to the implementation; narrow types compute in
 * int and are converted back where a value is kept. */
#include "target/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/c_text.h"

/* ---- a map keyed by address ---- */

typedef struct Entry {
  const void *key;
  void *value;
} Entry;

typedef struct Map {
  Entry *slots; /* open addressing, a power of two, at most half full */
  size_t n_slots, n;
} Map;

static Entry *map_slot(const Map *map, const void *key) {
  size_t at = (size_t)(((uintptr_t)key >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
  for (;; at++) {
    Entry *slot = &map->slots[at & (map->n_slots - 1)];
    if (!slot->key || slot->key == key)
      return slot;
  }
}

static void *map_get(const Map *map, const void *key) {
  return map->n_slots ? map_slot(map, key)->value : NULL;
}

static void map_put(Arena *arena, Map *map, const void *key, void *value) {
  if (2 * (map->n + 1) > map->n_slots) {
    Map grown = {NULL, map->n_slots ? 2 * map->n_slots : 64, map->n};
    grown.slots = ARENA_ARRAY(arena, Entry, grown.n_slots);
    for (size_t i = 0; i < map->n_slots; i++)
      if (map->slots[i].key)
        *map_slot(&grown, map->slots[i].key) = map->slots[i];
    *map = grown;
  }
  Entry *slot = map_slot(map, key);
  map->n += !slot->key;
  *slot = (Entry){key, value};
}

/* Forgets the entries and keeps the room. */
static void map_clear(Map *map) {
  if (map->n)
    memset(map->slots, 0, map->n_slots * sizeof *map->slots);
  map->n = 0;
}

/* ---- the emitter ---- */

typedef struct Interval {
  double lo, hi;
} Interval;

/* Everything a helper function may be chosen by. */
typedef struct Helper {
  const char *key;  /* "max_f32" */
  const char *name; /* as claimed: "P_max_f32" */
} Helper;

typedef struct Emitter {
  Arena *arena;
  const Program *program;
  const Target *target;
  const EmitOptions *options;
  Diag *diag;
  const char *prefix, *upper;
  WeightLayout layout;
  CNames *file_names;
  Map names;      /* Buffer, Var, Value, Kernel -> its C name */
  Map used;       /* those of them that are mentioned anywhere */
  Map repeats;    /* vector Values that are kept as a scalar */
  Map ranges;     /* Var -> Interval */
  double largest; /* magnitude that an index calculation may reach */
  const char *index_type;
  VEC(Helper) helpers;
  bool needs_string, needs_math, needs_lane_loop;

  Writer *w; /* functions */
  /* within a function */
  CNames *local_names;
  const char *lane;
  int n_temps;
  /* within a statement */
  Map visits; /* Expr -> number of times it occurs, at most 2 */
  Map temps;  /* Expr -> the name of the temporary that holds it */
} Emitter;

static const char *name_of(const Emitter *e, const void *thing) {
  const char *name = map_get(&e->names, thing);
  if (!name)
    BUG("something in program '%s' has no name in the C file", e->program->name);
  return name;
}

static void set_name(Emitter *e, const void *thing, const char *name) {
  map_put(e->arena, &e->names, thing, (void *)(uintptr_t)name);
}

static void mark_used(Emitter *e, const void *thing) {
  if (!map_get(&e->used, thing))
    map_put(e->arena, &e->used, thing, e);
}

/* A name at file scope: with the prefix, so that it meets no macro and no library function. */
static const char *claim_global(Emitter *e, const char *name) {
  return c_names_claim(e->file_names, arena_printf(e->arena, "%s_%s", e->prefix, name));
}

static const char *new_temp(Emitter *e) {
  return c_names_claim(e->local_names, arena_printf(e->arena, "t%d", ++e->n_temps));
}

/* ---- ranges: is int32_t wide enough for every index? ---- */

static void reach(Emitter *e, double value) {
  if (value < 0)
    value = -value;
  if (value > e->largest)
    e->largest = value;
}

static Interval affine_interval(Emitter *e, const Affine *a) {
  Interval sum = {(double)a->constant, (double)a->constant};
  double magnitude = sum.lo < 0 ? -sum.lo : sum.lo;
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    Interval atom = {0, (double)term->divisor - 1};
    if (term->kind == ATOM_VAR) {
      const Interval *range = map_get(&e->ranges, term->var);
      if (!range)
        BUG("variable '%s' is used outside its loop", term->var->name);
      atom = *range;
    } else {
      Interval inside = affine_interval(e, term->inside);
      if (term->kind == ATOM_DIV)
        atom = (Interval){inside.lo / (double)term->divisor - 1,
                          inside.hi / (double)term->divisor + 1};
      reach(e, (double)term->divisor);
    }
    double x = atom.lo * (double)term->coef, y = atom.hi * (double)term->coef;
    sum.lo += x < y ? x : y;
    sum.hi += x < y ? y : x;
    magnitude += (x < 0 ? -x : x) > (y < 0 ? -y : y) ? (x < 0 ? -x : x) : (y < 0 ? -y : y);
  }
  reach(e, magnitude); /* in whatever order the terms are added */
  return sum;
}

/* The row-major position of an element as one flat sum. */
static const Affine *flat_index(Emitter *e, const Buffer *buffer, const Affine *const *index) {
  const Affine *flat = affine_const(e->arena, 0);
  int64_t stride = 1;
  for (int i = buffer->rank - 1; i >= 0; i--) {
    flat = affine_add(e->arena, affine_scale(e->arena, index[i], stride), flat);
    stride *= buffer->dims[i];
  }
  return flat;
}

/* ---- survey: what is used, and how large indices become ---- */

static void survey_affine(Emitter *e, const Affine *a) {
  for (int i = 0; i < a->n; i++) {
    if (a->terms[i].kind == ATOM_VAR)
      mark_used(e, a->terms[i].var);
    else
      survey_affine(e, a->terms[i].inside);
  }
}

static void survey_buffer(Emitter *e, const Buffer *buffer) {
  if (buffer->kind != BUFFER_PARAM)
    BUG("a kernel reaches buffer '%s' without a parameter", buffer->name);
  mark_used(e, buffer);
}

static void survey_index(Emitter *e, const Buffer *buffer, const Affine *const *index) {
  survey_buffer(e, buffer);
  for (int i = 0; i < buffer->rank; i++)
    survey_affine(e, index[i]);
  affine_interval(e, flat_index(e, buffer, index));
  reach(e, (double)buffer_bytes(buffer));
}

/* `visits` counts the nodes of one statement, so that shared ones are looked at once. */
static void survey_expr(Emitter *e, const Expr *expr) {
  if (map_get(&e->visits, expr))
    return;
  map_put(e->arena, &e->visits, expr, e);
  switch (expr->op) {
  case OP_VALUE:
    mark_used(e, expr->value);
    break;
  case OP_LOAD:
    survey_index(e, expr->buffer, expr->index);
    break;
  case OP_TABLE:
    survey_buffer(e, expr->buffer);
    break;
  case OP_INDEX:
    survey_affine(e, expr->index[0]);
    affine_interval(e, expr->index[0]);
    break;
  default:
    break;
  }
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    survey_expr(e, expr->args[i]);
}

static void survey_kernel(Emitter *e, const Kernel *kernel);

static void survey_call(Emitter *e, const Stmt *stmt) {
  const Kernel *kernel = stmt->callee;
  for (size_t i = 0; i < kernel->buffers.len; i++)
    mark_used(e, stmt->buffers[i]);
  for (size_t i = 0; i < kernel->ints.len; i++) {
    survey_affine(e, stmt->ints[i]);
    affine_interval(e, stmt->ints[i]);
  }
  if (!map_get(&e->used, kernel)) {
    mark_used(e, kernel);
    survey_kernel(e, kernel);
  }
}

static void set_range(Emitter *e, const Var *var, Interval range) {
  Interval *kept = ARENA_NEW(e->arena, Interval);
  *kept = range;
  map_put(e->arena, &e->ranges, var, kept);
}

static void survey_for(Emitter *e, const Stmt *stmt) {
  Interval range = {-1e300, 1e300};
  for (int i = 0; i < stmt->n_lower; i++) {
    survey_affine(e, stmt->lower[i]);
    Interval bound = affine_interval(e, stmt->lower[i]);
    range.lo = bound.lo > range.lo ? bound.lo : range.lo;
  }
  for (int i = 0; i < stmt->n_upper; i++) {
    survey_affine(e, stmt->upper[i]);
    Interval bound = affine_interval(e, stmt->upper[i]);
    range.hi = bound.hi - 1 < range.hi ? bound.hi - 1 : range.hi;
  }
  if (range.hi < range.lo) /* never runs */
    range.hi = range.lo;
  reach(e, range.hi + (double)stmt->step);
  set_range(e, stmt->var, range);
}

static void survey_block(Emitter *e, const Block *block) {
  for (size_t s = 0; s < block->stmts.len; s++) {
    const Stmt *stmt = block->stmts.at[s];
    switch (stmt->kind) {
    case STMT_FOR:
      survey_for(e, stmt);
      survey_block(e, &stmt->body);
      break;
    case STMT_IF:
      for (int i = 0; i < stmt->n_conditions; i++) {
        survey_affine(e, stmt->conditions[i]);
        affine_interval(e, stmt->conditions[i]);
      }
      survey_block(e, &stmt->body);
      survey_block(e, &stmt->otherwise);
      break;
    case STMT_STORE:
      survey_index(e, stmt->buffer, stmt->index);
      survey_expr(e, stmt->expr);
      break;
    case STMT_LET:
    case STMT_VAR:
    case STMT_SET:
      survey_expr(e, stmt->expr);
      break;
    case STMT_CALL:
      survey_call(e, stmt);
      break;
    case STMT_PREFETCH:
      survey_index(e, stmt->buffer, stmt->index);
      break;
    }
    map_clear(&e->visits);
  }
}

static void survey_kernel(Emitter *e, const Kernel *kernel) {
  for (size_t i = 0; i < kernel->ints.len; i++) {
    const Var *var = kernel->ints.at[i];
    Interval range = {(double)var->lo, (double)var->hi - 1};
    reach(e, range.lo);
    reach(e, range.hi);
    set_range(e, var, range);
  }
  survey_block(e, &kernel->body);
}

/* ---- helper functions ---- */

/* The C name of a helper; the first call has it written. */
static const char *helper(Emitter *e, const char *key) {
  for (size_t i = 0; i < e->helpers.len; i++)
    if (strcmp(e->helpers.at[i].key, key) == 0)
      return e->helpers.at[i].name;
  Helper made = {key, claim_global(e, key)};
  VEC_PUSH(e->arena, e->helpers, made);
  return made.name;
}

/* One that comes for several types: "max" and i8 are max_i32, since narrow types compute in int. */
static const char *helper_for(Emitter *e, const char *what, Elem elem) {
  const char *type = elem == ELEM_F32 ? "f32" : elem == ELEM_I64 ? "i64" : "i32";
  return helper(e, arena_printf(e->arena, "%s_%s", what, type));
}

typedef struct HelperText {
  const char *key;
  const char *before; /* another helper that this one calls; written first */
  const char *text;   /* @ stands for the prefix'd name of the helper, $ for that of `before` */
} HelperText;

static const HelperText helper_texts[] = {
    /* A union is C's way to the bits; C++ has only memcpy. */
    {"bits_i32", NULL,
     "static int32_t @(float a) {\n#ifdef __cplusplus\n  int32_t bits;\n  memcpy(&bits, &a, 4);\n"
     "  return bits;\n#else\n  const union {\n    float f;\n    int32_t i;\n  } u = {a};\n"
     "  return u.i;\n#endif\n}\n"},
    {"bits_f32", NULL,
     "static float @(int32_t bits) {\n#ifdef __cplusplus\n  float a;\n  memcpy(&a, &bits, 4);\n"
     "  return a;\n#else\n  const union {\n    int32_t i;\n    float f;\n  } u = {bits};\n"
     "  return u.f;\n#endif\n}\n"},
    {"abs_f32", NULL,
     "static float @(float a) {\n#ifdef __cplusplus\n  int32_t bits;\n  memcpy(&bits, &a, 4);\n"
     "  bits &= 0x7fffffff;\n  memcpy(&a, &bits, 4);\n  return a;\n#else\n"
     "  union {\n    float f;\n    int32_t i;\n  } u = {a};\n  u.i &= 0x7fffffff;\n"
     "  return u.f;\n#endif\n}\n"},
    {"fma_f32", NULL,
     "static float @(float a, float b, float c) {\n#if defined(__GNUC__)\n"
     "  return __builtin_fmaf(a, b, c);\n#else\n  return fmaf(a, b, c);\n#endif\n}\n"},
    {"prefetch", NULL,
     "static void @(const void *p) {\n#if defined(__GNUC__)\n  __builtin_prefetch(p);\n#else\n"
     "  (void)p;\n#endif\n}\n"},
    {"max_f32", NULL, "static float @(float a, float b) { return a > b ? a : b; }\n"},
    {"max_i32", NULL, "static int32_t @(int32_t a, int32_t b) { return a > b ? a : b; }\n"},
    {"max_i64", NULL, "static int64_t @(int64_t a, int64_t b) { return a > b ? a : b; }\n"},
    {"min_f32", NULL, "static float @(float a, float b) { return a < b ? a : b; }\n"},
    {"min_i32", NULL, "static int32_t @(int32_t a, int32_t b) { return a < b ? a : b; }\n"},
    {"min_i64", NULL, "static int64_t @(int64_t a, int64_t b) { return a < b ? a : b; }\n"},
    {"eq_f32", NULL, "static int @(float a, float b) { return a == b; }\n"},
    {"eq_i32", NULL, "static int @(int32_t a, int32_t b) { return a == b; }\n"},
    {"eq_i64", NULL, "static int @(int64_t a, int64_t b) { return a == b; }\n"},
    {"lt_f32", NULL, "static int @(float a, float b) { return a < b; }\n"},
    {"lt_i32", NULL, "static int @(int32_t a, int32_t b) { return a < b; }\n"},
    {"lt_i64", NULL, "static int @(int64_t a, int64_t b) { return a < b; }\n"},
    {"le_f32", NULL, "static int @(float a, float b) { return a <= b; }\n"},
    {"le_i32", NULL, "static int @(int32_t a, int32_t b) { return a <= b; }\n"},
    {"le_i64", NULL, "static int @(int64_t a, int64_t b) { return a <= b; }\n"},
    {"select_i32", NULL, "static int32_t @(int m, int32_t a, int32_t b) { return m ? a : b; }\n"},
    /* Unsigned to signed without the implementation's say; compilers make nothing of it. */
    {"to_i8", NULL,
     "static int8_t @(uint8_t u) { return u <= 0x7f ? (int8_t)u : (int8_t)(-1 - (0xff - u)); }\n"},
    {"to_i16", NULL,
     "static int16_t @(uint16_t u) {\n"
     "  return u <= 0x7fff ? (int16_t)u : (int16_t)(-1 - (int16_t)(0xffff - u));\n}\n"},
    {"to_i32", NULL,
     "static int32_t @(uint32_t u) {\n"
     "  return u <= 0x7fffffffu ? (int32_t)u : -1 - (int32_t)(0xffffffffu - u);\n}\n"},
    {"shl_i32", NULL,
     "static int32_t @(int32_t a, int32_t n) { return (int32_t)((int64_t)a * ((int64_t)1 << n)); "
     "}\n"},
    {"shl_i64", NULL,
     "static int64_t @(int64_t a, int64_t n) {\n  uint64_t u = (uint64_t)a << n;\n"
     "  return u <= UINT64_MAX / 2 ? (int64_t)u : -1 - (int64_t)(UINT64_MAX - u);\n}\n"},
    /* Compilers whose >> is arithmetic, all that we know of, see a plain shift. */
    {"shr_i32", NULL,
     "static int32_t @(int32_t a, int32_t n) {\n"
     "  return a >= 0 || (-1 >> 1) == -1 ? a >> n : -1 - ((-1 - a) >> n);\n}\n"},
    {"shr_i64", NULL,
     "static int64_t @(int64_t a, int64_t n) {\n"
     "  return a >= 0 || (-1 >> 1) == -1 ? a >> n : -1 - ((-1 - a) >> n);\n}\n"},
    {"mulhi_i16", "shr_i32",
     "static int16_t @(int16_t a, int16_t b) { return (int16_t)$((int32_t)a * b, 16); }\n"},
    {"mulhi_i32", "shr_i64",
     "static int32_t @(int32_t a, int32_t b) { return (int32_t)$((int64_t)a * b, 32); }\n"},
    {"saturate_i8", NULL,
     "static int8_t @(int32_t a) { return (int8_t)(a < -128 ? -128 : a > 127 ? 127 : a); }\n"},
    {"saturate_u8", NULL,
     "static uint8_t @(int32_t a) { return (uint8_t)(a < 0 ? 0 : a > 255 ? 255 : a); }\n"},
    {"saturate_i16", NULL,
     "static int16_t @(int32_t a) {\n"
     "  return (int16_t)(a < -32768 ? -32768 : a > 32767 ? 32767 : a);\n}\n"},
    {"saturate_i32", NULL,
     "static int32_t @(int64_t a) {\n"
     "  return (int32_t)(a < INT32_MIN ? INT32_MIN : a > INT32_MAX ? INT32_MAX : a);\n}\n"},
    /* Comparisons that a NaN fails come first; in range the conversion truncates, exactly from 2^24
       on. */
    {"floor_f32", NULL,
     "static int32_t @(float a) {\n  int32_t i;\n"
     "  if (!(a >= -2147483648.0f))\n    return a < 0.0f ? INT32_MIN : 0;\n"
     "  if (a >= 2147483648.0f)\n    return INT32_MAX;\n"
     "  i = (int32_t)a;\n  return (float)i > a ? i - 1 : i;\n}\n"},
    {"nearest_f32", NULL,
     "static int32_t @(float a) {\n  int32_t i;\n  float rest;\n"
     "  if (!(a >= -2147483648.0f))\n    return a < 0.0f ? INT32_MIN : 0;\n"
     "  if (a >= 2147483648.0f)\n    return INT32_MAX;\n"
     "  i = (int32_t)a;\n  rest = a - (float)i;\n"
     "  if (rest > 0.5f || (rest >= 0.5f && i % 2 != 0))\n    return i + 1;\n"
     "  if (rest < -0.5f || (rest <= -0.5f && i % 2 != 0))\n    return i - 1;\n"
     "  return i;\n}\n"},
};

static const HelperText *find_helper(const char *key) {
  for (size_t i = 0; i < sizeof helper_texts / sizeof helper_texts[0]; i++)
    if (strcmp(helper_texts[i].key, key) == 0)
      return &helper_texts[i];
  BUG("no helper function '%s'", key);
}

/* In the order of the table, where those that others call come first. */
static void write_helpers(Emitter *e, Writer *w) {
  for (size_t i = 0; i < e->helpers.len; i++) { /* may grow */
    const HelperText *text = find_helper(e->helpers.at[i].key);
    if (text->before)
      helper(e, text->before);
  }
  for (size_t i = 0; i < sizeof helper_texts / sizeof helper_texts[0]; i++) {
    const HelperText *text = &helper_texts[i];
    for (size_t k = 0; k < e->helpers.len; k++) {
      if (strcmp(e->helpers.at[k].key, text->key) != 0)
        continue;
      write_text(w, "\n");
      for (const char *c = text->text; *c;) {
        size_t len = strcspn(c, "@$");
        write_f(w, "%.*s", (int)len, c);
        c += len;
        if (*c)
          write_text(w, *c == '@' ? e->helpers.at[k].name : helper(e, text->before));
        c += *c != '\0';
      }
    }
  }
}

/* ---- affine expressions ---- */

/* How tightly a piece of C holds together; an operand that is looser than wanted goes into
 * parentheses. gcc's -Wparentheses is stricter than the language, and so is this. */
typedef enum Tightness { LOOSE, SUM, PRODUCT, UNARY, PRIMARY } Tightness;

static void affine_c(Emitter *e, const Affine *a, Tightness wanted);

static void open_if(Emitter *e, Tightness own, Tightness wanted) {
  if (own < wanted)
    write_text(e->w, "(");
}

static void close_if(Emitter *e, Tightness own, Tightness wanted) {
  if (own < wanted)
    write_text(e->w, ")");
}

static void atom_c(Emitter *e, const Term *term, bool parens) {
  if (term->kind == ATOM_VAR) {
    write_text(e->w, name_of(e, term->var));
    return;
  }
  write_text(e->w, parens ? "(" : "");
  affine_c(e, term->inside, PRODUCT);
  write_f(e->w, " %c %" PRId64 "%s", term->kind == ATOM_DIV ? '/' : '%', term->divisor,
          parens ? ")" : "");
}

/* `1 - y` reads better than `-y + 1`. */
static bool constant_first(const Affine *a) {
  return a->n == 0 || (a->constant > 0 && a->terms[0].coef < 0);
}

static Tightness affine_tightness(const Affine *a) {
  if (a->n == 0)
    return a->constant < 0 ? UNARY : PRIMARY;
  if (a->n > 1 || a->constant != 0 || a->terms[0].coef < 0)
    return SUM;
  return a->terms[0].coef == 1 && a->terms[0].kind == ATOM_VAR ? PRIMARY : PRODUCT;
}

static void affine_c(Emitter *e, const Affine *a, Tightness wanted) {
  Tightness own = affine_tightness(a);
  bool first = !constant_first(a);
  open_if(e, own, wanted);
  if (!first)
    write_f(e->w, "%" PRId64, a->constant);
  for (int i = 0; i < a->n; i++) {
    const Term *term = &a->terms[i];
    int64_t coef = term->coef;
    bool lead = i == 0 && first;
    if (!lead)
      write_text(e->w, coef < 0 ? " - " : " + ");
    else if (coef < 0)
      write_text(e->w, "-");
    coef = coef < 0 ? -coef : coef;
    atom_c(e, term, coef != 1 || (lead && term->coef < 0));
    if (coef != 1)
      write_f(e->w, " * %" PRId64, coef);
  }
  if (first && a->constant != 0)
    write_f(e->w, " %c %" PRId64, a->constant < 0 ? '-' : '+',
            a->constant < 0 ? -a->constant : a->constant);
  close_if(e, own, wanted);
}

/* ---- expressions ---- */

/* Which lane a tree is printed for: `scale * l + offset`, or the constant `offset` if scale is 0.
 * Scalars are printed for lane 0. */
typedef struct Lane {
  int scale, offset;
} Lane;

static const Lane LANE_0 = {0, 0};
static const Lane EACH_LANE = {1, 0};

static bool is_narrow(Elem elem) { return elem == ELEM_I8 || elem == ELEM_U8 || elem == ELEM_I16; }

static void lane_c(Emitter *e, Lane lane) {
  if (lane.scale > 1)
    write_f(e->w, "%d * ", lane.scale);
  if (lane.scale)
    write_text(e->w, e->lane);
  if (lane.scale && lane.offset)
    write_f(e->w, " %c %d", lane.offset < 0 ? '-' : '+', abs(lane.offset));
  if (!lane.scale)
    write_f(e->w, "%d", lane.offset);
}

/* "buffer[i * 8 + l]" */
static void element_c(Emitter *e, const Buffer *buffer, const Affine *const *index, Lane lane) {
  const Affine *flat = flat_index(e, buffer, index);
  flat = affine_add_const(e->arena, flat, lane.offset);
  write_f(e->w, "%s[", name_of(e, buffer));
  int64_t constant;
  bool zero = affine_is_const(flat, &constant) && constant == 0;
  if (!zero || !lane.scale)
    affine_c(e, flat, LOOSE);
  if (lane.scale) {
    write_text(e->w, zero ? "" : " + ");
    lane_c(e, (Lane){lane.scale, 0});
  }
  write_text(e->w, "]");
}

static void f32_c(Emitter *e, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) >= 0x7f800000) {
    write_f(e->w, "%s%s(0x%08" PRIx32 ")", bits >> 31 ? "-" : "", helper(e, "bits_f32"),
            bits & 0x7fffffff);
    return;
  }
  char text[32];
  c_f32(text, value);
  write_text(e->w, text);
}

static void int_c(Emitter *e, Elem elem, int64_t value) {
  if (elem == ELEM_I64 && value == INT64_MIN)
    write_text(e->w, "INT64_MIN");
  else if (elem == ELEM_I64)
    write_f(e->w, "INT64_C(%" PRId64 ")", value);
  else if (value == INT32_MIN)
    write_text(e->w, "INT32_MIN");
  else
    write_f(e->w, "%" PRId64, value);
}

static void expr_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted);

static bool is_plain(Emitter *e, const Expr *expr) {
  if (map_get(&e->temps, expr) || expr->op == OP_VALUE || expr->op == OP_CONST)
    return true;
  return expr->op == OP_SPLAT && is_plain(e, expr->args[0]);
}

static const Expr *below_splat(const Expr *expr) {
  while (expr->op == OP_SPLAT)
    expr = expr->args[0];
  return expr;
}

static bool at_type_end(const Expr *expr) {
  static const int64_t ends[][2] = {[ELEM_F32] = {0, 0},
                                    [ELEM_I8] = {INT8_MIN, INT8_MAX},
                                    [ELEM_U8] = {0, UINT8_MAX},
                                    [ELEM_I16] = {INT16_MIN, INT16_MAX},
                                    [ELEM_I32] = {INT32_MIN, INT32_MAX},
                                    [ELEM_I64] = {INT64_MIN, INT64_MAX},
                                    [ELEM_MASK] = {0, 1}};
  expr = below_splat(expr);
  Elem elem = expr->type.elem;
  return expr->op == OP_CONST && elem != ELEM_F32 &&
         (expr->ivalue == ends[elem][0] || expr->ivalue == ends[elem][1]);
}

/* Compilers warn of `a < a`, of a comparison that the type decides, of two constants compared. */
static bool comparison_warns(const Expr *expr) {
  const Expr *a = below_splat(expr->args[0]), *b = below_splat(expr->args[1]);
  return a == b || (a->op == OP_VALUE && b->op == OP_VALUE && a->value == b->value) ||
         (a->op == OP_CONST && b->op == OP_CONST) || at_type_end(a) || at_type_end(b);
}

static void call_c(Emitter *e, const char *name, const Expr *expr, Lane lane) {
  write_f(e->w, "%s(", name);
  for (int i = 0; i < loop_op_arity(expr->op); i++) {
    write_text(e->w, i ? ", " : "");
    expr_c(e, expr->args[i], lane, LOOSE);
  }
  write_text(e->w, ")");
}

static void infix_c(Emitter *e, const Expr *expr, const char *op, Lane lane, Tightness own,
                    Tightness left, Tightness right, Tightness wanted) {
  open_if(e, own, wanted);
  expr_c(e, expr->args[0], lane, left);
  write_f(e->w, " %s ", op);
  expr_c(e, expr->args[1], lane, right);
  close_if(e, own, wanted);
}

/* min, max: an operand that is more than a name is evaluated once, by a helper. */
static void extremum_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  const char *name = expr->op == OP_MIN ? "min" : "max";
  if (!is_plain(e, expr->args[0]) || !is_plain(e, expr->args[1]) || comparison_warns(expr)) {
    call_c(e, helper_for(e, name, expr->type.elem), expr, lane);
    return;
  }
  open_if(e, LOOSE, wanted);
  expr_c(e, expr->args[0], lane, SUM);
  write_text(e->w, expr->op == OP_MIN ? " < " : " > ");
  expr_c(e, expr->args[1], lane, SUM);
  write_text(e->w, " ? ");
  expr_c(e, expr->args[0], lane, SUM);
  write_text(e->w, " : ");
  expr_c(e, expr->args[1], lane, SUM);
  close_if(e, LOOSE, wanted);
}

static void compare_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  bool eq = expr->op == OP_EQ, lt = expr->op == OP_LT;
  if (comparison_warns(expr))
    call_c(e, helper_for(e, eq ? "eq" : lt ? "lt" : "le", expr->args[0]->type.elem), expr, lane);
  else
    infix_c(e, expr, eq ? "==" : lt ? "<" : "<=", lane, LOOSE, SUM, SUM, wanted);
}

static void select_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  if (expr->type.elem == ELEM_MASK) { /* gcc warns of ?: with constants as a truth value */
    call_c(e, helper(e, "select_i32"), expr, lane);
    return;
  }
  open_if(e, LOOSE, wanted);
  expr_c(e, expr->args[0], lane, PRIMARY);
  write_text(e->w, " ? ");
  expr_c(e, expr->args[1], lane, SUM);
  write_text(e->w, " : ");
  expr_c(e, expr->args[2], lane, SUM);
  close_if(e, LOOSE, wanted);
}

static void cast_c(Emitter *e, const char *type, const Expr *operand, Lane lane, Tightness wanted) {
  open_if(e, UNARY, wanted);
  write_f(e->w, "(%s)", type);
  expr_c(e, operand, lane, UNARY);
  close_if(e, UNARY, wanted);
}

static const char *unsigned_type(Elem elem) {
  return elem == ELEM_I8 ? "uint8_t" : elem == ELEM_I16 ? "uint16_t" : "uint32_t";
}

/* Modulo 2^width: through the unsigned type, then back. */
static void wrap_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  Elem elem = expr->type.elem;
  if (elem == ELEM_U8) {
    cast_c(e, "uint8_t", expr->args[0], lane, wanted);
    return;
  }
  write_f(e->w, "%s((%s)", helper(e, arena_printf(e->arena, "to_%s", elem_name(elem))),
          unsigned_type(elem));
  expr_c(e, expr->args[0], lane, UNARY);
  write_text(e->w, ")");
}

/* The helpers take i32; an i64 is brought into that range first. */
static void saturate_c(Emitter *e, Elem to, const Expr *operand, Lane lane) {
  bool twice = operand->type.elem == ELEM_I64 && to != ELEM_I32;
  write_f(e->w, "%s(", helper(e, arena_printf(e->arena, "saturate_%s", elem_name(to))));
  if (twice)
    write_f(e->w, "%s(", helper(e, "saturate_i32"));
  expr_c(e, operand, lane, LOOSE);
  write_text(e->w, twice ? "))" : ")");
}

static void bitcast_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  Elem to = expr->type.elem, from = expr->args[0]->type.elem;
  if (to == from)
    expr_c(e, expr->args[0], lane, wanted);
  else if (to == ELEM_F32 || from == ELEM_F32)
    call_c(e, helper(e, to == ELEM_F32 ? "bits_f32" : "bits_i32"), expr, lane);
  else
    wrap_c(e, expr, lane, wanted);
}

static void convert_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  cast_c(e, c_type(expr->type.elem), expr->args[0], lane, wanted);
}

static void madd_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  open_if(e, SUM, wanted);
  write_text(e->w, "(int32_t)");
  expr_c(e, expr->args[0], lane, UNARY);
  write_text(e->w, " * ");
  expr_c(e, expr->args[1], lane, UNARY);
  write_text(e->w, " + ");
  expr_c(e, expr->args[2], lane, PRODUCT);
  close_if(e, SUM, wanted);
}

static void dot4_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  open_if(e, SUM, wanted);
  expr_c(e, expr->args[2], lane, SUM);
  for (int j = 0; j < 4; j++) {
    Lane part = {4 * lane.scale, 4 * lane.offset + j};
    write_text(e->w, " + (int32_t)");
    expr_c(e, expr->args[0], part, UNARY);
    write_text(e->w, " * ");
    expr_c(e, expr->args[1], part, UNARY);
  }
  close_if(e, SUM, wanted);
}

static void pack_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  int n = expr->args[0]->type.lanes;
  if (!lane.scale) {
    bool second = lane.offset >= n;
    saturate_c(e, expr->type.elem, expr->args[second], (Lane){0, lane.offset - (second ? n : 0)});
    return;
  }
  (void)wanted; /* a call */
  write_f(e->w, "%s(",
          helper(e, arena_printf(e->arena, "saturate_%s", elem_name(expr->type.elem))));
  lane_c(e, lane);
  write_f(e->w, " < %d ? ", n);
  expr_c(e, expr->args[0], lane, SUM);
  write_text(e->w, " : ");
  expr_c(e, expr->args[1], (Lane){lane.scale, lane.offset - n}, SUM);
  write_text(e->w, ")");
}

/* A shuffle that takes neighbouring lanes of one operand, which a lane loop can do. */
static bool is_slice(const Expr *expr) {
  int n = expr->args[0]->type.lanes, first = expr->lanes[0];
  for (int i = 1; i < expr->type.lanes; i++)
    if (expr->lanes[i] != first + i)
      return false;
  return first % n + expr->type.lanes <= n;
}

static void shuffle_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  int n = expr->args[0]->type.lanes, from = expr->lanes[lane.scale ? 0 : lane.offset];
  if (lane.scale) {
    if (!is_slice(expr))
      BUG("a shuffle has no temporary");
    expr_c(e, expr->args[from >= n], (Lane){lane.scale, lane.offset + from % n}, wanted);
    return;
  }
  expr_c(e, expr->args[from >= n], (Lane){0, from % n}, wanted);
}

static void value_c(Emitter *e, const Value *value, Lane lane) {
  write_text(e->w, name_of(e, value));
  if (value->type.lanes > 1 && !map_get(&e->repeats, value)) {
    write_text(e->w, "[");
    lane_c(e, lane);
    write_text(e->w, "]");
  }
}

/* Prints the tree for one lane. Arithmetic on narrow types is in int and in range; whoever keeps
 * the value converts it. */
static void expr_c(Emitter *e, const Expr *expr, Lane lane, Tightness wanted) {
  const char *temp = map_get(&e->temps, expr);
  if (temp) {
    write_text(e->w, temp);
    if (expr->type.lanes > 1) {
      write_text(e->w, "[");
      lane_c(e, lane);
      write_text(e->w, "]");
    }
    return;
  }
  Elem elem = expr->type.elem;
  switch (expr->op) {
  case OP_CONST: {
    bool negative = elem == ELEM_F32
                        ? expr->fvalue < 0 || (expr->fvalue == 0 && 1 / expr->fvalue < 0)
                        : expr->ivalue < 0 && elem != ELEM_I64;
    Tightness own = negative ? UNARY : PRIMARY;
    open_if(e, own, wanted);
    if (elem == ELEM_F32)
      f32_c(e, expr->fvalue);
    else
      int_c(e, elem, expr->ivalue);
    close_if(e, own, wanted);
    return;
  }
  case OP_VALUE:
    value_c(e, expr->value, lane);
    return;
  case OP_LOAD:
    element_c(e, expr->buffer, expr->index, expr->type.lanes > 1 ? lane : LANE_0);
    return;
  case OP_INDEX:
    if (strcmp(e->index_type, "int32_t") == 0) {
      affine_c(e, expr->index[0], wanted);
      return;
    }
    open_if(e, UNARY, wanted);
    write_text(e->w, "(int32_t)");
    affine_c(e, expr->index[0], PRIMARY);
    close_if(e, UNARY, wanted);
    return;
  case OP_SPLAT:
    expr_c(e, expr->args[0], LANE_0, wanted);
    return;
  case OP_LANE:
    expr_c(e, expr->args[0], (Lane){0, (int)expr->ivalue}, wanted);
    return;
  case OP_SHUFFLE:
    shuffle_c(e, expr, lane, wanted);
    return;
  case OP_ADD:
    infix_c(e, expr, "+", lane, SUM, SUM, PRODUCT, wanted);
    return;
  case OP_SUB:
    infix_c(e, expr, "-", lane, SUM, SUM, PRODUCT, wanted);
    return;
  case OP_MUL:
    infix_c(e, expr, "*", lane, PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_DIV:
    infix_c(e, expr, "/", lane, PRODUCT, PRODUCT, UNARY, wanted);
    return;
  case OP_MIN:
  case OP_MAX:
    extremum_c(e, expr, lane, wanted);
    return;
  case OP_FMA:
    e->needs_math = true;
    call_c(e, helper(e, "fma_f32"), expr, lane);
    return;
  case OP_NEG:
    open_if(e, UNARY, wanted);
    write_text(e->w, "-");
    expr_c(e, expr->args[0], lane, PRIMARY);
    close_if(e, UNARY, wanted);
    return;
  case OP_ABS:
    call_c(e, helper(e, "abs_f32"), expr, lane);
    return;
  case OP_SQRT:
    e->needs_math = true;
    call_c(e, "sqrtf", expr, lane);
    return;
  case OP_AND:
    infix_c(e, expr, "&", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_OR:
    infix_c(e, expr, "|", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_XOR:
    infix_c(e, expr, "^", lane, LOOSE, UNARY, UNARY, wanted);
    return;
  case OP_NOT:
    open_if(e, LOOSE, wanted);
    write_text(e->w, elem == ELEM_MASK ? "!" : elem == ELEM_U8 ? "(uint8_t)~" : "~");
    expr_c(e, expr->args[0], lane, PRIMARY);
    close_if(e, LOOSE, wanted);
    return;
  case OP_SHL:
    call_c(e, helper_for(e, "shl", elem), expr, lane);
    return;
  case OP_SHR:
    if (elem == ELEM_U8)
      infix_c(e, expr, ">>", lane, LOOSE, UNARY, UNARY, wanted);
    else
      call_c(e, helper_for(e, "shr", elem), expr, lane);
    return;
  case OP_MULHI:
    write_f(e->w, "%s(", helper(e, elem == ELEM_I16 ? "mulhi_i16" : "mulhi_i32"));
    for (int i = 0; i < 2; i++) {
      write_text(e->w, i ? ", " : "");
      write_text(e->w, elem == ELEM_I16 ? "(int16_t)" : "");
      expr_c(e, expr->args[i], lane, elem == ELEM_I16 ? UNARY : LOOSE);
    }
    write_text(e->w, ")");
    return;
  case OP_MADD:
    madd_c(e, expr, lane, wanted);
    return;
  case OP_DOT4:
    dot4_c(e, expr, lane, wanted);
    return;
  case OP_EQ:
  case OP_LT:
  case OP_LE:
    compare_c(e, expr, lane, wanted);
    return;
  case OP_SELECT:
    select_c(e, expr, lane, wanted);
    return;
  case OP_CONVERT:
    convert_c(e, expr, lane, wanted);
    return;
  case OP_WRAP:
    wrap_c(e, expr, lane, wanted);
    return;
  case OP_SATURATE:
    saturate_c(e, elem, expr->args[0], lane);
    return;
  case OP_FLOOR:
    call_c(e, helper(e, "floor_f32"), expr, lane);
    return;
  case OP_NEAREST:
    call_c(e, helper(e, "nearest_f32"), expr, lane);
    return;
  case OP_BITCAST:
    bitcast_c(e, expr, lane, wanted);
    return;
  case OP_PACK:
    pack_c(e, expr, lane, wanted);
    return;
  case OP_TABLE:
    write_f(e->w, "%s[", name_of(e, expr->buffer));
    expr_c(e, expr->args[0], lane, LOOSE);
    write_text(e->w, "]");
    return;
  case OP_COUNT:
    break;
  }
  BUG("unknown operation %d in the loops", (int)expr->op);
}

/* Does the printed tree have the C type of its element, or int? */
static bool needs_conversion(Emitter *e, const Expr *expr) {
  if (!is_narrow(expr->type.elem) || map_get(&e->temps, expr))
    return false;
  switch (expr->op) {
  case OP_CONST:
  case OP_VALUE:
  case OP_LOAD:
  case OP_TABLE:
  case OP_CONVERT:
  case OP_WRAP:
  case OP_SATURATE:
  case OP_PACK:
  case OP_MULHI:
    return false;
  case OP_SPLAT:
  case OP_LANE:
    return needs_conversion(e, expr->args[0]);
  case OP_SHUFFLE:
    return needs_conversion(e, expr->args[0]) || needs_conversion(e, expr->args[1]);
  default:
    return true;
  }
}

/* As the right-hand side of an assignment to something of the element type. */
static void kept_c(Emitter *e, const Expr *expr, Lane lane) {
  if (needs_conversion(e, expr))
    cast_c(e, c_type(expr->type.elem), expr, lane, LOOSE);
  else
    expr_c(e, expr, lane, LOOSE);
}

/* ---- temporaries ---- */

static void lane_loop_c(Emitter *e, int lanes) {
  e->needs_lane_loop = true;
  write_f(e->w, "LANE_LOOP for (int %s = 0; %s < %d; ++%s)\n", e->lane, e->lane, lanes, e->lane);
}

/* `name` (declared already, if a vector) gets the lanes of `expr`. */
static void fill_vector_c(Emitter *e, const char *name, const Expr *expr) {
  if (expr->op == OP_SHUFFLE && !is_slice(expr) && !map_get(&e->temps, expr)) {
    for (int i = 0; i < expr->type.lanes; i++) {
      write_f(e->w, "%s[%d] = ", name, i);
      kept_c(e, expr, (Lane){0, i});
      write_text(e->w, ";\n");
    }
    return;
  }
  lane_loop_c(e, expr->type.lanes);
  write_f(e->w, "  %s[%s] = ", name, e->lane);
  kept_c(e, expr, EACH_LANE);
  write_text(e->w, ";\n");
}

static void make_temp(Emitter *e, const Expr *expr) {
  if (map_get(&e->temps, expr))
    return;
  const char *name = new_temp(e);
  if (expr->type.lanes > 1) {
    write_f(e->w, "%s %s[%d];\n", c_type(expr->type.elem), name, expr->type.lanes);
    fill_vector_c(e, name, expr);
  } else {
    write_f(e->w, "const %s %s = ", c_type(expr->type.elem), name);
    kept_c(e, expr, LANE_0);
    write_text(e->w, ";\n");
  }
  map_put(e->arena, &e->temps, expr, (void *)(uintptr_t)name);
}

static void count_visits(Emitter *e, const Expr *expr) {
  static char once, twice;
  void *seen = map_get(&e->visits, expr);
  map_put(e->arena, &e->visits, expr, seen ? &twice : &once);
  if (!seen)
    for (int i = 0; i < loop_op_arity(expr->op); i++)
      count_visits(e, expr->args[i]);
}

static bool visited_twice(Emitter *e, const Expr *expr, const Expr *root) {
  /* The root is visited once; what is seen oftener has another mark. */
  return expr != root && map_get(&e->visits, expr) != map_get(&e->visits, root);
}

static bool is_leaf(const Expr *expr) { return loop_op_arity(expr->op) == 0; }

/* Writes what must be computed before the statement, operands first: nodes that occur twice,
 * scalars to be repeated, operands whose lanes are picked one by one. With `loop`, the statement
 * is a loop over lanes. */
static void prepare(Emitter *e, const Expr *expr, const Expr *root, bool loop) {
  if (map_get(&e->temps, expr) || is_leaf(expr))
    return;
  bool vector = expr->type.lanes > 1;
  for (int i = 0; i < loop_op_arity(expr->op); i++)
    prepare(e, expr->args[i], root, expr->op == OP_LANE ? false : loop);
  if (expr->op == OP_SPLAT && !is_plain(e, expr->args[0]))
    make_temp(e, expr->args[0]);
  if (expr->op == OP_DOT4) /* each operand is printed four times */
    for (int i = 0; i < 2; i++)
      if (!is_plain(e, expr->args[i]) && expr->args[i]->op != OP_LOAD)
        make_temp(e, expr->args[i]);
  if ((visited_twice(e, expr, root) && expr->op != OP_SPLAT) ||
      (expr->op == OP_SHUFFLE && !is_slice(expr) && vector && loop && expr != root))
    make_temp(e, expr);
}

/* Does lane i of the result need another lane of what `value` holds? */
static bool crosses_lanes(Emitter *e, const Expr *expr, const Value *value, bool crossing) {
  if (expr->op == OP_VALUE)
    return crossing && expr->value == value;
  if (map_get(&e->temps, expr))
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
  if (map_get(&e->temps, expr))
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

static void block_c(Emitter *e, const Block *block);

static void begin_statement(Emitter *e, const Expr *expr) {
  map_clear(&e->visits);
  map_clear(&e->temps);
  count_visits(e, expr);
  prepare(e, expr, expr, expr->type.lanes > 1);
}

static void define_c(Emitter *e, const Stmt *stmt) {
  const Value *value = stmt->value;
  const char *name = name_of(e, value), *type = c_type(value->type.elem);
  bool vector = value->type.lanes > 1;
  const Expr *expr = stmt->expr;
  if (vector && stmt->kind == STMT_LET && (expr->op == OP_SPLAT || expr->op == OP_CONST)) {
    map_put(e->arena, &e->repeats, value, e);
    expr = below_splat(expr);
    vector = false;
  }
  begin_statement(e, expr);
  if (vector) {
    write_f(e->w, "%s %s[%d];\n", type, name, value->type.lanes);
    fill_vector_c(e, name, expr);
  } else {
    write_f(e->w, "%s%s %s = ", stmt->kind == STMT_LET ? "const " : "", type, name);
    kept_c(e, expr, LANE_0);
    write_text(e->w, ";\n");
  }
  if (!map_get(&e->used, value))
    write_f(e->w, "(void)%s;\n", name);
}

static void set_c(Emitter *e, const Stmt *stmt) {
  const char *name = name_of(e, stmt->value);
  begin_statement(e, stmt->expr);
  if (stmt->value->type.lanes > 1) {
    if (crosses_lanes(e, stmt->expr, stmt->value, false))
      make_temp(e, stmt->expr);
    fill_vector_c(e, name, stmt->expr);
  } else {
    write_f(e->w, "%s = ", name);
    kept_c(e, stmt->expr, LANE_0);
    write_text(e->w, ";\n");
  }
}

static void store_c(Emitter *e, const Stmt *stmt) {
  const Expr *expr = stmt->expr;
  begin_statement(e, expr);
  if (expr->type.lanes > 1) {
    if ((expr->op == OP_SHUFFLE && !is_slice(expr)) || meets_store(e, stmt, expr))
      make_temp(e, expr);
    lane_loop_c(e, expr->type.lanes);
    write_text(e->w, "  ");
    element_c(e, stmt->buffer, stmt->index, EACH_LANE);
    write_text(e->w, " = ");
    kept_c(e, expr, EACH_LANE);
  } else {
    element_c(e, stmt->buffer, stmt->index, LANE_0);
    write_text(e->w, " = ");
    kept_c(e, expr, LANE_0);
  }
  write_text(e->w, ";\n");
}

/* A bound as text that may stand in the loop's head: the affine itself, or the name of a constant
 * that gets the extremum of several first. */
static void bound_c(Emitter *e, const Stmt *stmt, const Affine *const *bounds, int n, bool lower,
                    const char **name) {
  *name = NULL;
  const char *what =
      arena_printf(e->arena, "%s_%s", name_of(e, stmt->var), lower ? "begin" : "end");
  for (int i = 1; i < n; i++) {
    const char *next = c_names_claim(e->local_names, what);
    write_f(e->w, "const %s %s = ", e->index_type, next);
    for (int part = 0; part < 2; part++) { /* a > b ? a : b */
      if (*name)
        write_text(e->w, *name);
      else
        affine_c(e, bounds[0], SUM);
      write_text(e->w, part ? " : " : lower ? " > " : " < ");
      affine_c(e, bounds[i], SUM);
      write_text(e->w, part ? ";\n" : " ? ");
    }
    *name = next;
  }
}

static void for_c(Emitter *e, const Stmt *stmt) {
  const char *var = name_of(e, stmt->var), *begin, *end;
  bound_c(e, stmt, stmt->lower, stmt->n_lower, true, &begin);
  bound_c(e, stmt, stmt->upper, stmt->n_upper, false, &end);
  write_f(e->w, "for (%s %s = ", e->index_type, var);
  if (begin)
    write_text(e->w, begin);
  else
    affine_c(e, stmt->lower[0], LOOSE);
  write_f(e->w, "; %s < ", var);
  if (end)
    write_text(e->w, end);
  else
    affine_c(e, stmt->upper[0], SUM);
  if (stmt->step == 1)
    write_f(e->w, "; ++%s) {\n", var);
  else
    write_f(e->w, "; %s += %" PRId64 ") {\n", var, stmt->step);
  e->w->indent++;
  block_c(e, &stmt->body);
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
    affine_c(e, stmt->conditions[i], SUM);
    write_text(e->w, " >= 0");
    any = true;
  }
  if (never)
    write_text(e->w, any ? " && 0" : "0");
  else if (!any)
    write_text(e->w, "1");
  write_text(e->w, ") {\n");
  e->w->indent++;
  block_c(e, &stmt->body);
  e->w->indent--;
  if (stmt->otherwise.stmts.len) {
    write_text(e->w, "} else {\n");
    e->w->indent++;
    block_c(e, &stmt->otherwise);
    e->w->indent--;
  }
  write_text(e->w, "}\n");
}

static void call_stmt_c(Emitter *e, const Stmt *stmt) {
  const Kernel *kernel = stmt->callee;
  write_f(e->w, "%s(", name_of(e, kernel));
  bool first = true;
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    write_f(e->w, "%s%s", first ? "" : ", ", name_of(e, stmt->buffers[i]));
    first = false;
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    write_text(e->w, first ? "" : ", ");
    affine_c(e, stmt->ints[i], LOOSE);
    first = false;
  }
  write_text(e->w, ");\n");
}

static void stmt_c(Emitter *e, const Stmt *stmt) {
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
  case STMT_PREFETCH:
    map_clear(&e->temps);
    write_f(e->w, "%s(&", helper(e, "prefetch"));
    element_c(e, stmt->buffer, stmt->index, LANE_0);
    write_text(e->w, ");\n");
    return;
  }
}

static void block_c(Emitter *e, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++)
    stmt_c(e, block->stmts.at[i]);
}

/* ---- functions ---- */

/* Names in order of appearance, before temporaries take any. */
static void name_block(Emitter *e, const Block *block) {
  for (size_t i = 0; i < block->stmts.len; i++) {
    const Stmt *stmt = block->stmts.at[i];
    if (stmt->kind == STMT_FOR)
      set_name(e, stmt->var, c_names_claim(e->local_names, stmt->var->name));
    if (stmt->kind == STMT_LET || stmt->kind == STMT_VAR)
      set_name(e, stmt->value, c_names_claim(e->local_names, stmt->value->name));
    name_block(e, &stmt->body);
    name_block(e, &stmt->otherwise);
  }
}

static void begin_function(Emitter *e) {
  e->local_names = c_names_new(e->arena, e->file_names);
  e->n_temps = 0;
}

static void kernel_c(Emitter *e, const Kernel *kernel) {
  begin_function(e);
  for (size_t i = 0; i < kernel->buffers.len; i++)
    set_name(e, kernel->buffers.at[i], c_names_claim(e->local_names, kernel->buffers.at[i]->name));
  for (size_t i = 0; i < kernel->ints.len; i++)
    set_name(e, kernel->ints.at[i], c_names_claim(e->local_names, kernel->ints.at[i]->name));
  name_block(e, &kernel->body);
  e->lane = c_names_claim(e->local_names, "l");

  write_text(e->w, "\n");
  if (kernel->note)
    write_f(e->w, "/* %s */\n", c_comment_text(e->arena, kernel->note));
  write_f(e->w, "%s_SECTION_CODE static void %s(", e->upper, name_of(e, kernel));
  bool first = true;
  for (size_t i = 0; i < kernel->buffers.len; i++) {
    const Buffer *buffer = kernel->buffers.at[i];
    write_f(e->w, "%s%s%s *%s%s", first ? "" : ", ", buffer->access == ACCESS_IN ? "const " : "",
            c_type(buffer->elem),
            buffer->noalias ? arena_printf(e->arena, "%s_RESTRICT ", e->upper) : "",
            name_of(e, buffer));
    first = false;
  }
  for (size_t i = 0; i < kernel->ints.len; i++) {
    write_f(e->w, "%sconst %s %s", first ? "" : ", ", e->index_type,
            name_of(e, kernel->ints.at[i]));
    first = false;
  }
  write_text(e->w, first ? "void) {\n" : ") {\n");
  e->w->indent++;
  for (size_t i = 0; i < kernel->buffers.len; i++)
    if (!map_get(&e->used, kernel->buffers.at[i]))
      write_f(e->w, "(void)%s;\n", name_of(e, kernel->buffers.at[i]));
  for (size_t i = 0; i < kernel->ints.len; i++)
    if (!map_get(&e->used, kernel->ints.at[i]))
      write_f(e->w, "(void)%s;\n", name_of(e, kernel->ints.at[i]));
  block_c(e, &kernel->body);
  e->w->indent--;
  write_text(e->w, "}\n");
}

/* A local pointer of the run function: into the arena or the weights. */
static void place_pointer(Emitter *e, const Buffer *buffer, const char *base, int64_t offset,
                          const char *qualifier) {
  set_name(e, buffer, c_names_claim(e->local_names, buffer->name));
  write_f(e->w, "%s%s *const %s = (%s%s *)(%svoid *)((%sunsigned char *)%s + %" PRId64 ");",
          qualifier, c_type(buffer->elem), name_of(e, buffer), qualifier, c_type(buffer->elem),
          qualifier, qualifier, base, offset);
  if (buffer->note)
    write_f(e->w, " /* %s */", c_comment_text(e->arena, buffer->note));
  write_text(e->w, "\n");
}

static void run_c(Emitter *e) {
  const Program *program = e->program;
  begin_function(e);
  CSignature signature = c_signature(e->arena, program, e->options, e->local_names);
  write_f(e->w, "\n%s_SECTION_CODE %s {\n", e->upper, signature.text);
  e->w->indent++;
  const CPorts *ports[] = {&signature.inputs, &signature.outputs};
  const char **port_names[] = {signature.input_names, signature.output_names};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < ports[k]->n; i++) {
      set_name(e, ports[k]->at[i], port_names[k][i]);
      if (!map_get(&e->used, ports[k]->at[i]))
        write_f(e->w, "(void)%s;\n", port_names[k][i]);
    }

  bool arena_used = false, weights_used = false;
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (!map_get(&e->used, buffer))
      continue;
    if (buffer->kind == BUFFER_ARENA) {
      if (buffer->offset < 0)
        BUG("arena buffer '%s' has no offset", buffer->name);
      place_pointer(e, buffer, signature.arena, buffer->offset, "");
      arena_used = true;
    }
    if (buffer->kind == BUFFER_WEIGHT && signature.weights) {
      place_pointer(e, buffer, signature.weights, weight_place(&e->layout, buffer)->offset,
                    "const ");
      weights_used = true;
    }
  }
  if (!arena_used)
    write_f(e->w, "(void)%s;\n", signature.arena);
  if (signature.weights && !weights_used)
    write_f(e->w, "(void)%s;\n", signature.weights);

  name_block(e, &program->entry);
  for (size_t i = 0; i < program->entry.stmts.len; i++) {
    write_f(e->w, "%s_PROFILE_BEGIN(%zu);\n", e->upper, i);
    stmt_c(e, program->entry.stmts.at[i]);
    write_f(e->w, "%s_PROFILE_END(%zu);\n", e->upper, i);
  }
  e->w->indent--;
  write_text(e->w, "}\n");
}

/* ---- weights ---- */

static int int_text(char *text, const Buffer *buffer, const unsigned char *at) {
  int64_t value = 0;
  if (buffer->elem == ELEM_U8) {
    value = at[0];
  } else {
    int bytes = elem_bytes(buffer->elem);
    for (int i = bytes - 1; i >= 0; i--)
      value = value * 256 + at[i];
    if (value >> (8 * bytes - 1))
      value -= (int64_t)1 << (8 * bytes);
  }
  if (value == INT32_MIN)
    return (int)strlen(strcpy(text, "INT32_MIN"));
  return snprintf(text, 32, "%" PRId64, value);
}

/* `static const float NAME[] = {` and eight numbers a line (sixteen integers). Lines go to the
 * writer whole: there can be half a million of them. */
static bool weight_array_c(Emitter *e, Writer *w, const Buffer *buffer, const char *name) {
  int64_t n = buffer_elems(buffer);
  int bytes = elem_bytes(buffer->elem);
  unsigned char *data = malloc((size_t)buffer_bytes(buffer));
  if (!data) {
    diag_error(e->diag, (Loc){0}, "out of memory for weight buffer '%s'", buffer->name);
    return false;
  }
  bool ok = weight_bytes(buffer, e->options->weights, e->diag, false, data);
  if (ok) {
    write_f(w,
            "\n/* %s%s%s */\n%s_SECTION_WEIGHTS %s_WEIGHT_ALIGNED static const %s %s[%" PRId64
            "] = {\n",
            c_shape(e->arena, buffer), buffer->note ? ": " : "",
            buffer->note ? c_comment_text(e->arena, buffer->note) : "", e->upper, e->upper,
            c_type(buffer->elem), name, n);
    char line[1024];
    size_t len = 0;
    int per_line = buffer->elem == ELEM_F32 ? 8 : 16;
    for (int64_t i = 0; i < n; i++) {
      const unsigned char *at = data + i * bytes;
      bool first = i % per_line == 0;
      memcpy(line + len, "    ", 4);
      len += first ? 4 : 1;
      if (buffer->elem == ELEM_F32) {
        uint32_t bits =
            (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        float value;
        memcpy(&value, &bits, sizeof value);
        len += (size_t)c_f32(line + len, value);
      } else {
        len += (size_t)int_text(line + len, buffer, at);
      }
      line[len++] = ',';
      if (i % per_line == per_line - 1 || i == n - 1) {
        if (i == n - 1)
          len--; /* no comma behind the last */
        line[len++] = '\n';
        write_bytes(w, line, len);
        len = 0;
      }
    }
    write_text(w, "};\n");
  }
  free(data);
  return ok;
}

/* Buffers with the same contents share an array, named after the first. */
static void name_weights(Emitter *e) {
  for (size_t i = 0; i < e->layout.n; i++) {
    const Buffer *buffer = e->layout.places[i].buffer;
    for (size_t k = 0; k < i; k++)
      if (e->layout.places[k].offset == e->layout.places[i].offset) {
        if (map_get(&e->used, buffer))
          mark_used(e, e->layout.places[k].buffer);
        set_name(e, buffer, name_of(e, e->layout.places[k].buffer));
        break;
      }
    if (!map_get(&e->names, buffer))
      set_name(e, buffer, claim_global(e, buffer->name));
  }
}

static bool weights_c(Emitter *e, Writer *w) {
  Map done = {0};
  for (size_t i = 0; i < e->layout.n; i++) {
    const Buffer *buffer = e->layout.places[i].buffer;
    const char *name = name_of(e, buffer);
    if (!map_get(&e->used, buffer) || map_get(&done, name))
      continue;
    map_put(e->arena, &done, name, e);
    if (!weight_array_c(e, w, buffer, name))
      return false;
  }
  return true;
}

/* ---- the file ---- */

static void opening_c(Emitter *e, Writer *w) {
  const char *p = e->upper;
  write_f(w,
          "/* Network %s, compiled by mncc for target %s. Generated: edit the network instead.\n"
          " * The header describes inputs, outputs and memory. This file belongs to the author of\n"
          " * the network; mncc claims no rights in it. */\n",
          c_comment_text(e->arena, e->program->name), e->target->name);
  write_f(w, "#include \"%s\"\n\n", e->options->header_name);
  if (e->needs_math)
    write_text(w, "#include <math.h>\n");
  if (e->needs_string)
    write_text(w, "#ifdef __cplusplus\n#include <string.h>\n#endif\n");
  if (e->needs_math || e->needs_string)
    write_text(w, "\n");
  write_f(w,
          "#if %s_ABI_VERSION != 1 || %s_ARENA_BYTES != %" PRId64 "\n"
          "#error \"the header does not belong to this file\"\n#endif\n",
          p, p, e->program->arena_bytes < 0 ? (int64_t)0 : e->program->arena_bytes);
  write_text(
      w, "\n/* Results are defined to the bit: no reordering, no a * b + c in one rounding. */\n"
         "#ifdef __FAST_MATH__\n#error \"compile without -ffast-math\"\n#endif\n"
         "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n"
         "#elif defined(__GNUC__)\n#pragma GCC optimize(\"fp-contract=off\")\n"
         "#elif defined(_MSC_VER)\n#pragma fp_contract(off)\n"
         "#else\n#pragma STDC FP_CONTRACT OFF\n#endif\n");
  write_f(w,
          "\n#if !defined(__cplusplus)\n#define %s_RESTRICT restrict\n"
          "#elif defined(__GNUC__)\n#define %s_RESTRICT __restrict\n"
          "#else\n#define %s_RESTRICT\n#endif\n",
          p, p, p);
  if (e->layout.n && !e->options->weights_as_blob)
    write_f(w,
            "#if defined(%s_ALIGNED)\n#define %s_WEIGHT_ALIGNED %s_ALIGNED(%s_WEIGHT_ALIGN)\n"
            "#else\n#define %s_WEIGHT_ALIGNED\n#endif\n",
            p, p, p, p, p);
}

/* One macro of the file itself: measured on MobileNetV1, gcc -O3 without it is 3.5 times slower
 * than with it and than gcc -O2; clang finds the vectors by unrolling. */
static void lane_loop_macro(Writer *w) {
  write_text(
      w,
      "\n/* gcc would unroll loops over lanes before it looks for vectors, and then find none. */\n"
      "#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__) && \\\n"
      "    (defined(__SSE2__) || defined(__ARM_NEON) || defined(__VSX__) || "
      "defined(__riscv_vector))\n"
      "#define LANE_LOOP _Pragma(\"GCC unroll 1\")\n#else\n#define LANE_LOOP\n#endif\n");
}

static bool helper_uses_memcpy(const Helper *h) {
  return strstr(find_helper(h->key)->text, "memcpy(") != NULL;
}

bool emit_c(Writer *w, const Program *program, const Target *target, const EmitOptions *options,
            Diag *diag) {
  Emitter emitter = {
      .arena = arena_new(), .program = program, .target = target, .options = options, .diag = diag};
  Emitter *e = &emitter;
  e->prefix = c_prefix(program, options);
  e->upper = c_upper(e->arena, e->prefix);
  e->layout = weight_layout(e->arena, program, target->buffer_align);
  e->file_names = c_names_new(e->arena, NULL);
  claim_global(e, "run");
  claim_global(e, "weights");
  claim_global(e, "has_8_bit_bytes");
  claim_global(e, "has_32_bit_float");

  survey_block(e, &program->entry);
  Writer functions;
  writer_init(&functions);
  e->w = &functions;
  e->index_type = e->largest < 2147483647.0 ? "int32_t" : "int64_t";
  for (size_t i = 0; i < program->kernels.len; i++)
    if (map_get(&e->used, program->kernels.at[i]))
      set_name(e, program->kernels.at[i], claim_global(e, program->kernels.at[i]->name));
  if (!options->weights_as_blob)
    name_weights(e);
  for (size_t i = 0; i < program->kernels.len; i++)
    if (map_get(&e->used, program->kernels.at[i]))
      kernel_c(e, program->kernels.at[i]);
  run_c(e);

  for (size_t i = 0; i < e->helpers.len; i++)
    e->needs_string = e->needs_string || helper_uses_memcpy(&e->helpers.at[i]);
  opening_c(e, w);
  if (e->needs_lane_loop)
    lane_loop_macro(w);
  write_helpers(e, w);
  bool ok = options->weights_as_blob || weights_c(e, w);
  write_bytes(w, functions.data, functions.len);
  writer_free(&functions);
  arena_free(e->arena);
  return ok;
}
