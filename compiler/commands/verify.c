/* mncc verify NET.mn: the reference evaluator, code by LLVM and C against each
 * other, tensor by tensor.
 *
 * The evaluator runs on the network as it stands and keeps every layer's result.
 * Compiled code runs in three forms:
 *
 *   layers   every layer's result is an output, so that nothing is folded or
 *            absorbed: is each operator right by itself?
 *   stages   the graph as the passes leave it, every node's result an output:
 *            are folding and absorbing right?
 *   outputs  what a user gets, fused: are rings and shared memory right?
 *
 * A tensor agrees if its largest difference is within --tolerance times its
 * largest value. Between LLVM and C all bits must agree. --expect compares with
 * tensors that somebody else has computed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/c_program.h"
#include "commands/commands.h"
#include "commands/ports.h"
#include "commands/tensor_file.h"

static const Loc nowhere = {0};
static const double default_tolerance = 1e-4;

/* A result of the evaluator: the network's outputs, then those of the layers. */
typedef struct Reference {
  const char *path;   /* of the layer that makes it; an input's name */
  const char *tensor; /* its name in graphs */
  Shape shape;
  void *data;
  void *compiled; /* what compiled code made of it in the first form; null: nothing */
} Reference;

/* Two arrays, compared. */
typedef struct Difference {
  double largest;  /* of the second's magnitudes */
  double absolute; /* infinite where only one is a number */
} Difference;

typedef enum Bits { BITS_UNKNOWN, BITS_SAME, BITS_DIFFER } Bits;

typedef struct Row {
  const char *form, *name;
  Shape shape;
  Difference difference;
  Bits bits; /* LLVM against C */
} Row;

typedef struct Verify {
  Session *session;
  double tolerance;
  const void **in;
  size_t n_outputs; /* of the network, the first of the references */
  VEC(Reference) references;
  const Network *all; /* the network with every layer's result as an output */
  VEC(Row) rows;
} Verify;

/* ---- comparing ---- */

static double element(const Shape *shape, const void *data, int64_t i) {
  return shape->elem == ELEM_I32 ? (double)((const int32_t *)data)[i] : (double)((const float *)data)[i];
}

static Difference compare(const Shape *shape, const void *ours, const void *reference) {
  Difference d = {0};
  for (int64_t i = 0; i < shape_elems(shape); i++) {
    double a = element(shape, ours, i), b = element(shape, reference, i);
    double apart = a == b || (isnan(a) && isnan(b)) ? 0 : fabs(a - b);
    d.absolute = isnan(apart) ? (double)INFINITY : apart > d.absolute ? apart : d.absolute;
    d.largest = isfinite(b) && fabs(b) > d.largest ? fabs(b) : d.largest;
  }
  return d;
}

static double relative(const Difference *d) {
  return d->absolute > 0 && d->largest > 0 ? d->absolute / d->largest : d->absolute;
}

static bool agrees(const Verify *v, const Row *row) {
  return relative(&row->difference) <= v->tolerance && row->bits != BITS_DIFFER;
}

/* ---- the reference ---- */

static void add_reference(Verify *v, const Tensor *tensor) {
  Reference reference = {.path = tensor->producer ? tensor->producer->path : tensor->name,
                         .tensor = tensor->name,
                         .shape = tensor->shape,
                         .data = arena_alloc(v->session->arena, (size_t)shape_bytes(&tensor->shape))};
  VEC_PUSH(v->session->arena, v->references, reference);
}

/* A name that no tensor has, for an output that nobody sees. */
static const char *output_name(Arena *arena, const Network *network, size_t i) {
  const char *name = arena_printf(arena, "layer_%zu_result", i);
  for (size_t k = 0; k < network->layers.len; k++)
    if (strcmp(network->layers.at[k]->output->name, name) == 0)
      return output_name(arena, network, i + network->layers.len);
  return intern(arena, name);
}

/* Makes every layer's result an output that is not one yet, and may be one. */
static void open_all(Verify *v, const Network *network) {
  Arena *arena = v->session->arena;
  Network *all = ARENA_NEW(arena, Network);
  *all = *network;
  all->outputs.at = NULL;
  all->outputs.len = all->outputs.cap = 0;
  for (size_t i = 0; i < network->outputs.len; i++) {
    VEC_PUSH(arena, all->outputs, network->outputs.at[i]);
    add_reference(v, network->outputs.at[i].tensor);
  }
  v->n_outputs = network->outputs.len;
  for (size_t i = 0; i < network->layers.len; i++) {
    Tensor *tensor = network->layers.at[i]->output;
    bool known = tensor->shape.elem == ELEM_U8;
    for (size_t k = 0; k < v->n_outputs && !known; k++)
      known = network->outputs.at[k].tensor == tensor;
    if (known)
      continue;
    NetworkOutput output = {.name = output_name(arena, network, i), .tensor = tensor, .loc = tensor->loc};
    VEC_PUSH(arena, all->outputs, output);
    add_reference(v, tensor);
  }
  v->all = all;
}

static void evaluate(Verify *v) {
  Session *session = v->session;
  void **out = ARENA_ARRAY(session->arena, void *, v->references.len + 1);
  for (size_t i = 0; i < v->references.len; i++)
    out[i] = v->references.at[i].data;
  graph_evaluate(graph_build(session->arena, v->all), session->weights, v->in, out);
}

/* ---- compiled forms ---- */

/* One form: its program, and for each of its outputs the reference. */
typedef struct Form {
  const char *name;
  Compilation c;
  VEC(size_t) reference;
  void **out[2]; /* by LLVM, by C; null: not run */
} Form;

static size_t find_tensor(const Verify *v, const char *tensor) {
  for (size_t i = 0; i < v->references.len; i++)
    if (strcmp(v->references.at[i].tensor, tensor) == 0)
      return i;
  return v->references.len;
}

/* Makes every node's result an output if the evaluator has it too. */
static void open_graph(Verify *v, Form *form) {
  Graph *graph = form->c.graph;
  for (size_t i = 0; i < graph->nodes.len; i++) {
    GTensor *tensor = graph->nodes.at[i]->output;
    size_t reference = find_tensor(v, tensor->name);
    if (tensor->output >= 0 || reference == v->references.len || tensor->shape.elem == ELEM_U8)
      continue;
    tensor->output = (int)graph->outputs.len;
    VEC_PUSH(graph->arena, graph->outputs, tensor);
    VEC_PUSH(graph->arena, graph->output_names, output_name(graph->arena, graph->network, i));
    VEC_PUSH(v->session->arena, form->reference, reference);
  }
  graph_count_uses(graph);
}

typedef enum FormKind { FORM_LAYERS, FORM_STAGES, FORM_OUTPUTS, FORMS } FormKind;

static bool build_form(Verify *v, Form *form, FormKind kind) {
  static const char *const names[FORMS] = {"layers", "stages", "outputs"};
  *form = (Form){.name = names[kind], .c = v->session->compilation};
  if (kind == FORM_LAYERS) {
    form->c.network = ARENA_NEW(v->session->arena, Network);
    *form->c.network = *v->all;
    form->c.regions_file = form->c.schedule_file = NULL; /* they are for what the passes leave */
  }
  size_t n = kind == FORM_LAYERS ? v->references.len : v->n_outputs;
  for (size_t i = 0; i < n; i++)
    VEC_PUSH(v->session->arena, form->reference, i);
  if (!pipeline_go_on(&form->c, STAGE_GRAPH, STAGE_GRAPH))
    return false;
  if (kind == FORM_STAGES)
    open_graph(v, form);
  return pipeline_go_on(&form->c, STAGE_REGIONS, STAGE_PLAN);
}

static void **new_outputs(Verify *v, const Form *form, Arena *arena) {
  void **out = ARENA_ARRAY(arena, void *, form->reference.len + 1);
  for (size_t i = 0; i < form->reference.len; i++)
    out[i] = arena_alloc(arena, (size_t)shape_bytes(&v->references.at[form->reference.at[i]].shape));
  return out;
}

static bool run_by_llvm(Verify *v, Form *form, Arena *arena) {
#if MNCC_HAVE_LLVM
  Session *session = v->session;
  Jit *jit = jit_new(form->c.program, form->c.target, &session->emit, &session->diag);
  if (!jit)
    return false;
  form->out[0] = new_outputs(v, form, arena);
  jit_run(jit, v->in, form->out[0]);
  jit_free(jit);
#else
  (void)v;
  (void)form;
  (void)arena;
#endif
  return true;
}

static bool run_by_c(Verify *v, Form *form, Arena *arena) {
  if (v->session->compilation.options->no_c)
    return true;
  CProgram *c = c_program_new(v->session, form->c.program);
  if (!c)
    return false;
  form->out[1] = new_outputs(v, form, arena);
  c_program_run(c, v->in, form->out[1]);
  c_program_free(c);
  return true;
}

/* The rows of a form: its layers in the network's order, or its outputs in theirs. */
static void add_row(Verify *v, const Form *form, size_t i, const char *name) {
  Reference *reference = &v->references.at[form->reference.at[i]];
  const void *ours = form->out[0] ? form->out[0][i] : form->out[1][i];
  Row row = {form->name, name, reference->shape, compare(&reference->shape, ours, reference->data), BITS_UNKNOWN};
  if (form->out[0] && form->out[1])
    row.bits = memcmp(form->out[0][i], form->out[1][i], (size_t)shape_bytes(&reference->shape)) ? BITS_DIFFER : BITS_SAME;
  VEC_PUSH(v->session->arena, v->rows, row);
}

static void add_rows(Verify *v, const Form *form, FormKind kind) {
  const Network *network = v->all;
  if (kind == FORM_OUTPUTS) {
    for (size_t i = 0; i < v->n_outputs; i++)
      add_row(v, form, i, network->outputs.at[i].name);
    return;
  }
  size_t *of_reference = ARENA_ARRAY(v->session->arena, size_t, v->references.len + 1);
  for (size_t i = 0; i < form->reference.len; i++)
    of_reference[form->reference.at[i]] = i + 1;
  for (size_t k = 0; k < network->layers.len; k++) {
    size_t reference = find_tensor(v, network->layers.at[k]->output->name);
    if (reference < v->references.len && of_reference[reference])
      add_row(v, form, of_reference[reference] - 1, network->layers.at[k]->path);
  }
}

/* What --expect is compared with. */
static void keep_compiled(Verify *v, const Form *form) {
  for (size_t i = 0; i < form->reference.len; i++) {
    Reference *reference = &v->references.at[form->reference.at[i]];
    size_t bytes = (size_t)shape_bytes(&reference->shape);
    reference->compiled = arena_alloc(v->session->arena, bytes);
    memcpy(reference->compiled, form->out[0] ? form->out[0][i] : form->out[1][i], bytes);
  }
}

static bool run_form(Verify *v, FormKind kind) {
  Form form;
  if (!build_form(v, &form, kind))
    return false;
  Arena *arena = arena_new();
  bool ok = run_by_llvm(v, &form, arena) && run_by_c(v, &form, arena);
  if (ok && (form.out[0] || form.out[1])) {
    add_rows(v, &form, kind);
    if (kind == FORM_LAYERS)
      keep_compiled(v, &form);
  }
  arena_free(arena);
  return ok;
}

/* ---- tensors of others ---- */

static size_t find_expected(const Verify *v, const char *name) {
  for (size_t i = 0; i < v->n_outputs; i++)
    if (strcmp(v->all->outputs.at[i].name, name) == 0)
      return i;
  for (size_t i = 0; i < v->references.len; i++)
    if (strcmp(v->references.at[i].path, name) == 0)
      return i;
  return find_tensor(v, name);
}

static void expect_tensor(Verify *v, size_t i, const char *name, const void *data) {
  const Reference *reference = &v->references.at[i];
  const void *ours = reference->compiled ? reference->compiled : reference->data;
  Row row = {"expected", name, reference->shape, compare(&reference->shape, ours, data), BITS_UNKNOWN};
  VEC_PUSH(v->session->arena, v->rows, row);
}

/* The same dimensions; others may have one more of 1 in front, for the batch. */
static bool same_shape(const WeightTensor *tensor, const Shape *shape) {
  int skip = tensor->rank == shape->rank + 1 && tensor->dims[0] == 1;
  if (tensor->rank - skip != shape->rank)
    return false;
  for (int i = 0; i < shape->rank; i++)
    if (tensor->dims[i + skip] != shape->dims[i])
      return false;
  return true;
}

static void expect_from(Verify *v, const Weights *file, const WeightTensor *tensor, size_t i) {
  Session *session = v->session;
  const Shape *shape = &v->references.at[i].shape;
  if (!same_shape(tensor, shape)) {
    const char *dims = "";
    for (int d = 0; d < tensor->rank; d++)
      dims = arena_printf(session->arena, "%s%s%lld", dims, d ? ", " : "", (long long)tensor->dims[d]);
    diag_error(&session->diag, nowhere, "expected tensor '%.200s' is [%s], but the network's is %s (height, width, channels)",
               tensor->name, dims, shape_text(session->arena, shape));
    return;
  }
  void *data = arena_alloc(session->arena, (size_t)shape_bytes(shape));
  for (int64_t k = 0; k < tensor->elems; k++)
    if (shape->elem == ELEM_I32)
      ((int32_t *)data)[k] = (int32_t)weights_get(file, tensor, k);
    else
      ((float *)data)[k] = (float)weights_get(file, tensor, k);
  expect_tensor(v, i, tensor->name, data);
}

/* The tensors of the file in the order of the network's layers, those that are outputs last. */
static int expect_file(Verify *v, const char *path) {
  Session *session = v->session;
  Weights *file = weights_open(session->arena, &session->diag, nowhere, path);
  if (!file)
    return access(path, R_OK) == 0 ? EXIT_USER : EXIT_IO;
  VEC(const WeightTensor *) *found = arena_alloc_array(session->arena, v->references.len + 1, sizeof *found);
  for (size_t k = 0; k < weights_count(file); k++) {
    const WeightTensor *tensor = weights_at(file, k);
    size_t i = find_expected(v, tensor->name);
    if (i < v->references.len)
      VEC_PUSH(session->arena, found[i], tensor);
    else
      diag_error(&session->diag, nowhere, "expected tensor '%.200s' is no layer's path and no output of the network", tensor->name);
  }
  for (size_t n = 0; n < v->references.len; n++) {
    size_t i = (n + v->n_outputs) % v->references.len;
    for (size_t k = 0; k < found[i].len; k++)
      expect_from(v, file, found[i].at[k], i);
  }
  weights_close(file);
  return session->diag.errors ? EXIT_USER : EXIT_FINE;
}

static int expect(Verify *v, const char *path) {
  Session *session = v->session;
  size_t n = strlen(path);
  if (n < 4 || strcmp(path + n - 4, ".npy") != 0)
    return expect_file(v, path);
  if (v->n_outputs != 1) {
    diag_error(&session->diag, nowhere,
               "--expect: '%.200s' holds one tensor, but the network has %zu outputs; give a safetensors file with their names",
               path, v->n_outputs);
    return EXIT_USER;
  }
  const Reference *reference = &v->references.at[0];
  void *data = arena_alloc(session->arena, (size_t)shape_bytes(&reference->shape));
  int status = tensor_read(&session->diag, path, v->all->outputs.at[0].name, &reference->shape, data);
  if (status == EXIT_FINE)
    expect_tensor(v, 0, v->all->outputs.at[0].name, data);
  return status;
}

/* ---- reporting ---- */

static const char *bits_text(Bits bits) {
  switch (bits) {
  case BITS_UNKNOWN:
    return "";
  case BITS_SAME:
    return "same";
  case BITS_DIFFER:
    return "differ";
  }
  return "";
}

static const Row *first_apart(const Verify *v) {
  for (size_t i = 0; i < v->rows.len; i++)
    if (!agrees(v, &v->rows.at[i]))
      return &v->rows.at[i];
  return NULL;
}

static const char *form_title(const char *form) {
  if (strcmp(form, "layers") == 0)
    return "layers, each by itself";
  if (strcmp(form, "stages") == 0)
    return "stages, folded and absorbed";
  return strcmp(form, "outputs") == 0 ? "outputs, fused" : "against the expected";
}

static int name_width(const Verify *v) {
  int width = (int)strlen(form_title("stages"));
  for (size_t i = 0; i < v->rows.len; i++) {
    int n = (int)strlen(v->rows.at[i].name);
    width = n > width ? n : width;
  }
  return width;
}

static void verdict_text(Writer *w, const Verify *v) {
  const Row *apart = first_apart(v);
  if (!apart) {
    write_f(w, "\nall agree within %g of each one's largest value\n", v->tolerance);
    return;
  }
  size_t n = 0;
  for (size_t i = 0; i < v->rows.len; i++)
    n += !agrees(v, &v->rows.at[i]);
  write_f(w, "\n%zu of %zu part; the first is '%s' (%s): ", n, v->rows.len, apart->name, form_title(apart->form));
  if (apart->bits == BITS_DIFFER)
    write_text(w, "LLVM and C differ in their bits\n");
  else
    write_f(w, "%.3g of its largest value, where %g is allowed\n", relative(&apart->difference), v->tolerance);
}

static void report_text(Writer *w, const Verify *v) {
  const Compilation *c = &v->session->compilation;
  bool by_c = !c->options->no_c;
  write_f(w, "%s for %s: the evaluator against %s%s%s%s\n", c->network->name, c->target->name, MNCC_HAVE_LLVM ? "LLVM" : "",
          MNCC_HAVE_LLVM && by_c ? " and " : "", by_c ? "C by " : "", by_c ? c_program_compiler() : "");
  if (c->options->threads > 1)
    write_f(w, "divided for %d threads\n", c->options->threads);
  int width = name_width(v);
  const char *form = "";
  for (size_t i = 0; i < v->rows.len; i++) {
    const Row *row = &v->rows.at[i];
    if (strcmp(form, row->form) != 0)
      write_f(w, "\n%-*s %-18s %10s %10s %10s  %s\n", width, form_title(row->form), "", "largest", "absolute", "relative",
              row->bits == BITS_UNKNOWN ? "" : "bits");
    form = row->form;
    write_f(w, "%-*s %-18s %10.4g %10.2e %10.2e  %-6s %s\n", width, row->name, shape_text(v->session->arena, &row->shape),
            row->difference.largest, row->difference.absolute, relative(&row->difference), bits_text(row->bits),
            agrees(v, row) ? "" : "<--");
  }
  verdict_text(w, v);
}

static void number_json(Writer *w, double value) {
  if (isfinite(value))
    write_f(w, "%.9g", value);
  else
    write_text(w, "null");
}

static void report_json(Writer *w, const Verify *v) {
  const Compilation *c = &v->session->compilation;
  const Row *apart = first_apart(v);
  write_text(w, "{\"network\": ");
  write_quoted(w, c->network->name);
  write_text(w, ", \"target\": ");
  write_quoted(w, c->target->name);
  write_f(w, ", \"threads\": %d", c->options->threads);
  write_f(w, ", \"tolerance\": %g, \"agree\": %s, \"first_apart\": ", v->tolerance, apart ? "false" : "true");
  if (apart)
    write_quoted(w, apart->name);
  else
    write_text(w, "null");
  write_text(w, ",\n \"tensors\": [");
  for (size_t i = 0; i < v->rows.len; i++) {
    const Row *row = &v->rows.at[i];
    write_f(w, "%s\n  {\"form\": \"%s\", \"name\": ", i ? "," : "", row->form);
    write_quoted(w, row->name);
    write_text(w, ", \"largest\": ");
    number_json(w, row->difference.largest);
    write_text(w, ", \"absolute\": ");
    number_json(w, row->difference.absolute);
    write_text(w, ", \"relative\": ");
    number_json(w, relative(&row->difference));
    write_f(w, ", \"same_bits\": %s, \"agrees\": %s}",
            row->bits == BITS_UNKNOWN ? "null" : row->bits == BITS_SAME ? "true" : "false", agrees(v, row) ? "true" : "false");
  }
  write_text(w, "]}\n");
}

static void report_csv(Writer *w, const Verify *v) {
  write_text(w, "form,name,largest,absolute,relative,bits,agrees\n");
  for (size_t i = 0; i < v->rows.len; i++) {
    const Row *row = &v->rows.at[i];
    write_f(w, "%s,%s,%.9g,%.9g,%.9g,%s,%d\n", row->form, row->name, row->difference.largest, row->difference.absolute,
            relative(&row->difference), bits_text(row->bits), agrees(v, row));
  }
}

static int report(const Verify *v) {
  const Options *options = v->session->compilation.options;
  Writer w;
  writer_init(&w);
  switch (options->format) {
  case FORMAT_TEXT:
    report_text(&w, v);
    break;
  case FORMAT_JSON:
    report_json(&w, v);
    break;
  case FORMAT_CSV:
    report_csv(&w, v);
    break;
  }
  int status = session_write(v->session, &w);
  writer_free(&w);
  return status == EXIT_FINE && first_apart(v) ? EXIT_USER : status;
}

/* ---- the command ---- */

static int verify(Session *session) {
  Compilation *c = &session->compilation;
  if (!MNCC_HAVE_LLVM && c->options->no_c) {
    diag_error(&session->diag, nowhere, "this mncc was built without LLVM: without C as well there is nothing to compare");
    return EXIT_USAGE;
  }
  Ports inputs = {0}, outputs = {0};
  int status = ports_prepare(session, STAGE_NETWORK, &inputs, &outputs);
  if (status != EXIT_FINE)
    return status;
  session->emit.prefix = "network";
  const Numbers *tolerance = &c->options->tolerance;
  Verify v = {.session = session,
              .tolerance = tolerance->len ? rational_to_double(tolerance->at[0]) : default_tolerance,
              .in = ports_in(session, &inputs)};
  open_all(&v, c->network);
  evaluate(&v);
  for (int kind = FORM_LAYERS; kind < FORMS; kind++)
    if (!run_form(&v, (FormKind)kind))
      return session_failed(session);
  if (c->options->expect)
    status = expect(&v, c->options->expect);
  return status == EXIT_FINE ? report(&v) : status;
}

int command_verify(const Options *options) { return session_run(options, "verify", verify); }
