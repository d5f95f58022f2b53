/* The table of operators, shapes, and what printers and passes ask about a
 * call without knowing the operator. */
#include "ops/op.h"

#include <string.h>

#include "ops/family.h"

#define OP(name) extern const OpDef op_##name;
#include "ops/ops.def"
#undef OP

static const OpDef *const table[] = {
#define OP(name) &op_##name,
#include "ops/ops.def"
#undef OP
};

size_t op_count(void) { return sizeof table / sizeof *table; }

const OpDef *op_at(size_t i) { return table[i]; }

const OpDef *op_find(const char *name) {
  for (size_t i = 0; i < op_count(); i++)
    if (strcmp(table[i]->name, name) == 0)
      return table[i];
  return NULL;
}

const OpDef *op_input_def(void) { return &op_normalize; }

const OpDef *op_copy_def(void) { return &op_copy; }

int op_attr_index(const OpDef *def, const char *name) {
  for (int i = 0; i < def->n_attrs; i++)
    if (strcmp(def->attrs[i].name, name) == 0)
      return i;
  return -1;
}

void op_call_init(OpCall *call, const OpDef *def) {
  memset(call, 0, sizeof *call);
  call->def = def;
  for (int i = 0; i < def->n_attrs; i++)
    call->attrs[i] = def->attrs[i].value;
}

int op_call_weights(const OpCall *call, OpWeight *weights) {
  return call->def->weights ? call->def->weights(call, weights) : 0;
}

int64_t op_call_macs(const OpCall *call) { return call->def->macs ? call->def->macs(call) : 0; }

bool op_call_is_view(const OpCall *call) {
  int order[SHAPE_MAX_RANK], last = -1;
  if (call->def->is_view || !call->def->permutes || !call->def->permutes(call, order))
    return call->def->is_view;
  int64_t dims[SHAPE_MAX_RANK];
  shape_hwc(&call->inputs[0], dims);
  for (int i = 0; i < SHAPE_MAX_RANK; i++) {
    if (dims[order[i]] == 1)
      continue;
    if (order[i] < last)
      return false;
    last = order[i];
  }
  return true;
}

CostKind op_call_cost_kind(const OpCall *call) {
  return call->def->cost_kind ? call->def->cost_kind(call) : COST_OTHER;
}

/* ---- shapes ---- */

int64_t shape_elems(const Shape *shape) {
  int64_t elems = 1;
  for (int i = 0; i < shape->rank; i++)
    if (__builtin_mul_overflow(elems, shape->dims[i], &elems))
      return -1;
  return elems;
}

int64_t shape_bytes(const Shape *shape) {
  int64_t elems = shape_elems(shape), bytes;
  return elems < 0 || __builtin_mul_overflow(elems, (int64_t)elem_bytes(shape->elem), &bytes) ? -1 : bytes;
}

bool shape_equal(const Shape *a, const Shape *b) {
  if (a->elem != b->elem || a->rank != b->rank)
    return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i])
      return false;
  return true;
}

void shape_print(Writer *w, const Shape *shape) {
  write_f(w, "%s[", elem_name(shape->elem));
  for (int i = 0; i < shape->rank; i++)
    write_f(w, "%s%lld", i ? ", " : "", (long long)shape->dims[i]);
  write_text(w, "]");
}

const char *shape_text(Arena *arena, const Shape *shape) {
  Writer w;
  writer_init(&w);
  shape_print(&w, shape);
  return writer_take(&w, arena);
}

void shape_hwc(const Shape *shape, int64_t hwc[3]) {
  int missing = 3 - shape->rank;
  for (int i = 0; i < 3; i++)
    hwc[i] = i < missing ? 1 : shape->dims[i - missing];
}

/* ---- attributes ---- */

void attr_print(Writer *w, const AttrDef *def, const AttrValue *value) {
  switch (def->type) {
  case ATTR_INT:
    write_f(w, "%lld", (long long)value->i[0]);
    return;
  case ATTR_KERNEL:
    write_f(w, "%lldx%lld", (long long)value->i[0], (long long)value->i[1]);
    return;
  case ATTR_PADDING:
    switch (value->padding) {
    case PADDING_SAME:
      write_text(w, "same");
      return;
    case PADDING_VALID:
      write_text(w, "valid");
      return;
    case PADDING_EXPLICIT:
      write_f(w, "[%lld, %lld, %lld, %lld]", (long long)value->i[0], (long long)value->i[1], (long long)value->i[2],
              (long long)value->i[3]);
      return;
    }
    return;
  case ATTR_NUMBER: {
    Arena *scratch = arena_new();
    write_text(w, rational_text(scratch, value->number));
    arena_free(scratch);
    return;
  }
  case ATTR_BOOL:
    write_text(w, value->i[0] ? "true" : "false");
    return;
  case ATTR_DIMS:
    write_text(w, "[");
    for (int i = 0; i < value->n; i++)
      write_f(w, "%s%lld", i ? ", " : "", (long long)value->i[i]);
    write_text(w, "]");
    return;
  case ATTR_NUMBERS: {
    Arena *scratch = arena_new();
    write_text(w, value->n > 1 ? "[" : "");
    for (int i = 0; i < value->n; i++)
      write_f(w, "%s%s", i ? ", " : "", rational_text(scratch, value->numbers[i]));
    write_text(w, value->n > 1 ? "]" : "");
    arena_free(scratch);
    return;
  }
  }
}

/* ---- what the families share ---- */

/* One dimension of a window. */
static const char *resolve_dimension(Arena *arena, const char *what, int64_t in, int64_t k, int64_t s, int64_t d,
                                     const AttrValue *padding, int64_t *before, int64_t *after, int64_t *out) {
  int64_t reach = (k - 1) * d + 1;
  switch (padding->padding) {
  case PADDING_SAME: {
    *out = (in + s - 1) / s;
    int64_t total = (*out - 1) * s + reach - in;
    if (total < 0)
      total = 0;
    *before = total / 2;
    *after = total - *before;
    return NULL;
  }
  case PADDING_VALID:
    *before = *after = 0;
    break;
  case PADDING_EXPLICIT:
    break;
  }
  int64_t room = in + *before + *after - reach;
  if (room < 0)
    return arena_printf(arena, "the kernel's %s reaches over %lld elements, but the padded input has only %lld", what,
                        (long long)reach, (long long)(in + *before + *after));
  *out = room / s + 1;
  if (*before >= reach || *after >= reach)
    return arena_printf(arena, "padding of the %s must be smaller than the kernel (%lld)", what, (long long)reach);
  return NULL;
}

const char *window_resolve(Arena *arena, Window *window, const AttrValue *padding, int64_t height, int64_t width) {
  for (int i = 0; i < 4; i++)
    window->pads[i] = padding->i[i];
  for (int i = 0; i < 2; i++) {
    int64_t reach; /* keeps the arithmetic below far from overflow */
    if (__builtin_mul_overflow(window->kernel[i], window->dilation[i], &reach) || reach > INT32_MAX ||
        window->stride[i] > INT32_MAX || padding->i[i] > INT32_MAX || padding->i[i + 2] > INT32_MAX)
      return "kernel, stride, dilation and padding must be below 2^31";
  }
  const char *problem = resolve_dimension(arena, "height", height, window->kernel[0], window->stride[0],
                                          window->dilation[0], padding, &window->pads[0], &window->pads[2], &window->out[0]);
  if (!problem)
    problem = resolve_dimension(arena, "width", width, window->kernel[1], window->stride[1], window->dilation[1], padding,
                                &window->pads[1], &window->pads[3], &window->out[1]);
  return problem;
}

void window_access(const Window *window, AccessDim access[2]) {
  for (int i = 0; i < 2; i++) {
    access[i] = (AccessDim){.offset = -window->pads[i]};
    access[i].coef[i] = window->stride[i];
    access[i].coef[DIM_R + i] = window->dilation[i];
  }
}

bool window_is_padded(const Window *window) {
  return window->pads[0] || window->pads[1] || window->pads[2] || window->pads[3];
}

void write_torch_pad(Writer *w, const int64_t pads[4], const char *x, const char *value) {
  if (!pads[0] && !pads[1] && !pads[2] && !pads[3]) {
    write_text(w, x);
    return;
  }
  write_f(w, "F.pad(%s, (%lld, %lld, %lld, %lld)%s%s)", x, (long long)pads[1], (long long)pads[3], (long long)pads[0],
          (long long)pads[2], value ? ", value=" : "", value ? value : "");
}

void operand_pointwise(Operand *operand, const OpCall *call, int source) {
  *operand = (Operand){.source = source, .rank = 3};
  shape_hwc(&call->inputs[source], operand->dims);
  for (int i = 0; i < 3; i++) {
    operand->access[i].coef[i] = operand->dims[i] == 1 ? 0 : 1; /* a dimension of one is broadcast */
  }
  int64_t out[3];
  shape_hwc(&call->output, out);
  for (int i = 0; i < 3; i++)
    if (out[i] == 1)
      operand->access[i].coef[i] = 1;
}

void operand_channel(Operand *operand, int source, int64_t channels) {
  *operand = (Operand){.is_weight = true, .source = source, .rank = 1, .dims = {channels}};
  operand->access[0].coef[DIM_C] = 1;
}

int torch_channel_dim(const Shape *shape) { return shape->rank == 2 ? 2 : 1; }

const char *infer_same(Arena *arena, OpCall *call) {
  (void)arena;
  call->output = call->inputs[0];
  return NULL;
}
