/* mncc cost: what a network costs, or, for lists of parameter values, what
 * each combination costs beside alpha = rho = 1. Nothing here knows an
 * operator: kinds and counts are the operators' own. */
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "network/network.h"
#include "support/output.h"

static const struct {
  const char *name, *label;
} kinds[] = {[COST_STANDARD] = {"standard", "standard convolution"},
             [COST_DEPTHWISE] = {"depthwise", "depthwise convolution"},
             [COST_POINTWISE] = {"pointwise", "pointwise convolution"},
             [COST_DENSE] = {"dense", "dense"},
             [COST_OTHER] = {"other", "other"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One value for each parameter that the command line names. */
typedef struct Combination {
  NetworkOptions options;
  size_t *choice; /* index into each list; resolutions last */
  NetworkCost cost, base;
} Combination;

typedef struct Command {
  Arena *arena;
  Diag *diag;
  const Options *options;
  const AstFile *file;
  Writer w;
} Command;

/* ---- text ---- */

/* 568740352 as 568,740,352. */
static const char *grouped(Arena *arena, int64_t value) {
  char digits[24];
  char *text = arena_alloc(arena, 32);
  size_t n = 0, len;
  const char *plain = arena_printf(arena, "%lld", (long long)value);
  len = strlen(plain);
  for (size_t i = 0; i < len && i < sizeof digits; i++) {
    if (i && (len - i) % 3 == 0)
      text[n++] = ',';
    text[n++] = plain[i];
  }
  return text;
}

static double share(int64_t part, int64_t whole) {
  return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *dims_text(Arena *arena, const Shape *shape, const char *between) {
  const char *text = "";
  for (int i = 0; i < shape->rank; i++)
    text = arena_printf(arena, "%s%s%lld", text, i ? between : "", (long long)shape->dims[i]);
  return text;
}

/* Text for JSON: bytes above 127 pass as they are. */
static void json_string(Writer *w, const char *text) {
  write_text(w, "\"");
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      write_f(w, "\\%c", c);
    else if (c < ' ')
      write_f(w, "\\u%04x", c);
    else
      write_bytes(w, text, 1);
  }
  write_text(w, "\"");
}

static void csv_string(Writer *w, const char *text) {
  if (!strpbrk(text, ",\"\n\r")) {
    write_text(w, text);
    return;
  }
  write_text(w, "\"");
  for (; *text; text++)
    write_bytes(w, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
  write_text(w, "\"");
}

/* ---- depthwise-separable blocks ---- */

typedef struct Separable {
  const Layer *depthwise, *pointwise;
  int64_t macs, standard_macs; /* of the pair, and of the convolution that it replaces */
} Separable;

static size_t next_reader(const Network *network, const Tensor *tensor, size_t from) {
  for (size_t i = from; i < network->layers.len; i++)
    for (int k = 0; k < network->layers.at[i]->call.n_inputs; k++)
      if (network->layers.at[i]->inputs[k] == tensor)
        return i;
  return network->layers.len;
}

/* A depthwise convolution followed, through layers without arithmetic of their own to count, by a
 * pointwise one: D_K^2 M + M N multiply-accumulates a pixel for D_K^2 M N, the ratio 1/N + 1/D_K^2.
 */
static bool find_separable(const Network *network, size_t depthwise, Separable *pair) {
  const Layer *layer = network->layers.at[depthwise];
  int64_t macs = op_call_macs(&layer->call);
  if (op_call_cost_kind(&layer->call) != COST_DEPTHWISE)
    return false;
  int64_t taps = macs / shape_elems(&layer->call.output);
  for (size_t i = depthwise;;) {
    i = next_reader(network, network->layers.at[i]->output, i + 1);
    if (i == network->layers.len)
      return false;
    const Layer *reader = network->layers.at[i];
    int64_t reader_macs = op_call_macs(&reader->call);
    if (op_call_cost_kind(&reader->call) == COST_POINTWISE) {
      *pair = (Separable){layer, reader, macs + reader_macs, 0};
      return !__builtin_mul_overflow(reader_macs, taps, &pair->standard_macs);
    }
    if (reader_macs || reader->call.n_inputs != 1)
      return false;
  }
}

/* ---- one network ---- */

static void report_text(Command *c, const Network *network, const NetworkCost *cost) {
  Writer *w = &c->w;
  int name = 5, op = 8, output = 6;
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    int lengths[3] = {(int)strlen(layer->path), (int)strlen(layer->call.def->name),
                      (int)strlen(dims_text(c->arena, &layer->call.output, "x"))};
    name = lengths[0] > name ? lengths[0] : name;
    op = lengths[1] > op ? lengths[1] : op;
    output = lengths[2] > output ? lengths[2] : output;
  }
  write_f(w, "%s", network->name);
  for (size_t i = 0; i < network->inputs.len; i++)
    write_f(w, "%s %s %s", i ? "," : ":", network->inputs.at[i]->name,
            shape_text(c->arena, &network->inputs.at[i]->shape));
  write_f(w, "\n\n%-*s  %-*s  %-*s  %15s  %12s  %16s\n", name, "layer", op, "operator", output,
          "output", "MACs", "parameters", "activation bytes");
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    LayerCost one = network_layer_cost(layer);
    write_f(w, "%-*s  %-*s  %-*s  %15s  %12s  %16s\n", name, layer->path, op, layer->call.def->name,
            output, dims_text(c->arena, &layer->call.output, "x"), grouped(c->arena, one.macs),
            grouped(c->arena, one.parameters), grouped(c->arena, one.activation_bytes));
  }
  write_f(w, "%-*s  %-*s  %-*s  %15s  %12s  %16s\n", name, "total", op, "", output, "",
          grouped(c->arena, cost->total.macs), grouped(c->arena, cost->total.parameters),
          grouped(c->arena, cost->total.activation_bytes));
  write_f(w, "\nweights without biases and batch normalisation: %s\n",
          grouped(c->arena, cost->total.weights));
  write_f(w, "largest set of tensors alive at once, unfused: %s bytes\n",
          grouped(c->arena, cost->peak_bytes));
  write_f(w, "\n%-22s  %15s  %7s  %12s  %7s\n", "kind", "MACs", "share", "parameters", "share");
  for (size_t k = 0; k < KINDS; k++)
    write_f(w, "%-22s  %15s  %6.2f%%  %12s  %6.2f%%\n", kinds[k].label,
            grouped(c->arena, cost->macs_by_kind[k]),
            share(cost->macs_by_kind[k], cost->total.macs),
            grouped(c->arena, cost->parameters_by_kind[k]),
            share(cost->parameters_by_kind[k], cost->total.parameters));
  bool any = false;
  for (size_t i = 0; i < network->layers.len; i++) {
    Separable pair;
    if (!find_separable(network, i, &pair))
      continue;
    if (!any)
      write_f(w, "\n%-*s  %-*s  %15s  %15s  %6s\n", name, "depthwise", name, "pointwise", "MACs",
              "standard MACs", "ratio");
    any = true;
    write_f(w, "%-*s  %-*s  %15s  %15s  %6.4f\n", name, pair.depthwise->path, name,
            pair.pointwise->path, grouped(c->arena, pair.macs),
            grouped(c->arena, pair.standard_macs), (double)pair.macs / (double)pair.standard_macs);
  }
}

static void json_cost(Writer *w, const LayerCost *cost) {
  write_f(w, "\"macs\": %lld, \"parameters\": %lld, \"weights\": %lld, \"activation_bytes\": %lld",
          (long long)cost->macs, (long long)cost->parameters, (long long)cost->weights,
          (long long)cost->activation_bytes);
}

static void report_json(Command *c, const Network *network, const NetworkCost *cost) {
  Writer *w = &c->w;
  write_text(w, "{\n");
  w->indent++;
  write_text(w, "\"network\": ");
  json_string(w, network->name);
  write_text(w, ",\n\"layers\": [\n");
  w->indent++;
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    LayerCost one = network_layer_cost(layer);
    write_text(w, "{\"name\": ");
    json_string(w, layer->path);
    write_f(w, ", \"operator\": \"%s\", \"kind\": \"%s\", \"output\": [%s], ",
            layer->call.def->name, kinds[op_call_cost_kind(&layer->call)].name,
            dims_text(c->arena, &layer->call.output, ", "));
    json_cost(w, &one);
    write_text(w, i + 1 < network->layers.len ? "},\n" : "}\n");
  }
  w->indent--;
  write_text(w, "],\n\"kinds\": {\n");
  w->indent++;
  for (size_t k = 0; k < KINDS; k++)
    write_f(w, "\"%s\": {\"macs\": %lld, \"parameters\": %lld}%s\n", kinds[k].name,
            (long long)cost->macs_by_kind[k], (long long)cost->parameters_by_kind[k],
            k + 1 < KINDS ? "," : "");
  w->indent--;
  write_text(w, "},\n\"separable\": [");
  const char *separator = "\n";
  w->indent++;
  for (size_t i = 0; i < network->layers.len; i++) {
    Separable pair;
    if (!find_separable(network, i, &pair))
      continue;
    write_f(w, "%s{\"depthwise\": ", separator);
    json_string(w, pair.depthwise->path);
    write_text(w, ", \"pointwise\": ");
    json_string(w, pair.pointwise->path);
    write_f(w, ", \"macs\": %lld, \"standard_macs\": %lld, \"ratio\": %.9g}", (long long)pair.macs,
            (long long)pair.standard_macs, (double)pair.macs / (double)pair.standard_macs);
    separator = ",\n";
  }
  w->indent--;
  write_text(w, *separator == ',' ? "\n],\n\"total\": {" : "],\n\"total\": {");
  json_cost(w, &cost->total);
  write_f(w, ", \"peak_bytes\": %lld}\n", (long long)cost->peak_bytes);
  w->indent--;
  write_text(w, "}\n");
}

static void report_csv(Command *c, const Network *network, const NetworkCost *cost) {
  Writer *w = &c->w;
  write_text(w, "name,operator,kind,output,macs,parameters,weights,activation_bytes\n");
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    LayerCost one = network_layer_cost(layer);
    csv_string(w, layer->path);
    write_f(w, ",%s,%s,%s,%lld,%lld,%lld,%lld\n", layer->call.def->name,
            kinds[op_call_cost_kind(&layer->call)].name,
            dims_text(c->arena, &layer->call.output, "x"), (long long)one.macs,
            (long long)one.parameters, (long long)one.weights, (long long)one.activation_bytes);
  }
  write_f(w, "total,,,,%lld,%lld,%lld,%lld\n", (long long)cost->total.macs,
          (long long)cost->total.parameters, (long long)cost->total.weights,
          (long long)cost->total.activation_bytes);
}

/* ---- combinations ---- */

static size_t lists(const Options *options) {
  return options->parameters.len + (options->resolutions.len ? 1 : 0);
}

static const char *list_name(const Options *options, size_t list) {
  return list < options->parameters.len ? options->parameters.at[list].name : "resolution";
}

static size_t list_len(const Options *options, size_t list) {
  return list < options->parameters.len ? options->parameters.at[list].n : options->resolutions.len;
}

static const char *chosen_text(Arena *arena, const Options *options, const Combination *one,
                               size_t list) {
  size_t choice = one->choice[list];
  return list < options->parameters.len
             ? options->parameters.at[list].texts[choice]
             : arena_printf(arena, "%lld", (long long)options->resolutions.at[choice]);
}

static NetworkOptions chosen_options(Command *c, const size_t *choice) {
  const Options *options = c->options;
  NetworkOptions network = {.n_bindings = options->parameters.len};
  network.bindings = ARENA_ARRAY(c->arena, Binding, network.n_bindings);
  for (size_t i = 0; i < network.n_bindings; i++) {
    const ParameterValues *values = &options->parameters.at[i];
    network.bindings[i] = (Binding){
        .name = values->name, .value = values->values[choice[i]], .option = values->option};
  }
  if (options->resolutions.len)
    network.resolution = options->resolutions.at[choice[network.n_bindings]];
  return network;
}

/* The same with alpha = rho = 1, as far as the network has them. */
static NetworkOptions base_options(Command *c, const NetworkOptions *chosen) {
  static const char *const multipliers[] = {"alpha", "rho"};
  const AstParams *params = &c->file->network->params;
  NetworkOptions base = {0};
  base.bindings = ARENA_ARRAY(c->arena, Binding, chosen->n_bindings + 2);
  for (size_t i = 0; i < chosen->n_bindings; i++)
    if (strcmp(chosen->bindings[i].name, "alpha") != 0 &&
        strcmp(chosen->bindings[i].name, "rho") != 0)
      base.bindings[base.n_bindings++] = chosen->bindings[i];
  for (size_t m = 0; m < 2; m++)
    for (size_t i = 0; i < params->len; i++)
      if (strcmp(params->at[i].name, multipliers[m]) == 0)
        base.bindings[base.n_bindings++] = (Binding){
            .name = multipliers[m], .value = rational_int(1), .option = "the base of the ratios"};
  return base;
}

static bool cost_of(Command *c, const NetworkOptions *options, NetworkCost *cost) {
  Network *network = network_build(c->arena, c->diag, c->file, options);
  if (network)
    *cost = network_cost(network);
  return network != NULL;
}

static double ratio(int64_t part, int64_t whole) {
  return whole ? (double)part / (double)whole : 0;
}

static void table_text(Command *c, const Combination *all, size_t n) {
  Writer *w = &c->w;
  for (size_t list = 0; list < lists(c->options); list++)
    write_f(w, "%12s", list_name(c->options, list));
  write_f(w, "  %15s  %7s  %12s  %7s  %15s\n", "MACs", "ratio", "parameters", "ratio",
          "peak bytes");
  for (size_t i = 0; i < n; i++) {
    for (size_t list = 0; list < lists(c->options); list++)
      write_f(w, "%12s", chosen_text(c->arena, c->options, &all[i], list));
    write_f(w, "  %15s  %7.4f  %12s  %7.4f  %15s\n", grouped(c->arena, all[i].cost.total.macs),
            ratio(all[i].cost.total.macs, all[i].base.total.macs),
            grouped(c->arena, all[i].cost.total.parameters),
            ratio(all[i].cost.total.parameters, all[i].base.total.parameters),
            grouped(c->arena, all[i].cost.peak_bytes));
  }
  write_text(w, "\nratios are to alpha = rho = 1\n");
}

static void table_json(Command *c, const Combination *all, size_t n) {
  Writer *w = &c->w;
  write_text(w, "{\n");
  w->indent++;
  write_text(w, "\"network\": ");
  json_string(w, c->file->network->name);
  write_text(w, ",\n\"combinations\": [\n");
  w->indent++;
  for (size_t i = 0; i < n; i++) {
    write_text(w, "{");
    for (size_t list = 0; list < lists(c->options); list++) {
      size_t choice = all[i].choice[list];
      json_string(w, list_name(c->options, list));
      write_f(w, ": %.17g, ",
              list < c->options->parameters.len
                  ? rational_to_double(c->options->parameters.at[list].values[choice])
                  : (double)c->options->resolutions.at[choice]);
    }
    json_cost(w, &all[i].cost.total);
    write_f(
        w, ", \"peak_bytes\": %lld, \"macs_ratio\": %.9g, \"parameters_ratio\": %.9g}%s\n",
        (long long)all[i].cost.peak_bytes, ratio(all[i].cost.total.macs, all[i].base.total.macs),
        ratio(all[i].cost.total.parameters, all[i].base.total.parameters), i + 1 < n ? "," : "");
  }
  w->indent--;
  write_text(w, "]\n");
  w->indent--;
  write_text(w, "}\n");
}

static void table_csv(Command *c, const Combination *all, size_t n) {
  Writer *w = &c->w;
  for (size_t list = 0; list < lists(c->options); list++)
    write_f(w, "%s,", list_name(c->options, list));
  write_text(w, "macs,parameters,weights,activation_bytes,peak_bytes,macs_ratio,"
                "parameters_ratio\n");
  for (size_t i = 0; i < n; i++) {
    const LayerCost *total = &all[i].cost.total;
    for (size_t list = 0; list < lists(c->options); list++)
      write_f(w, "%s,", chosen_text(c->arena, c->options, &all[i], list));
    write_f(w, "%lld,%lld,%lld,%lld,%lld,%.9g,%.9g\n", (long long)total->macs,
            (long long)total->parameters, (long long)total->weights,
            (long long)total->activation_bytes, (long long)all[i].cost.peak_bytes,
            ratio(total->macs, all[i].base.total.macs),
            ratio(total->parameters, all[i].base.total.parameters));
  }
}

/* Every combination of the lists, the last list fastest. */
static void sweep(Command *c) {
  enum { MOST = 10000 };
  VEC(Combination) all = {0};
  size_t n_lists = lists(c->options), product = 1;
  for (size_t list = 0; list < n_lists; list++)
    if (__builtin_mul_overflow(product, list_len(c->options, list), &product) || product > MOST) {
      diag_error(c->diag, (Loc){0}, "there are more than %d combinations", MOST);
      return;
    }
  for (size_t number = 0; number < product; number++) {
    Combination one = {.choice = ARENA_ARRAY(c->arena, size_t, n_lists)};
    size_t rest = number;
    for (size_t list = n_lists; list-- > 0; rest /= list_len(c->options, list))
      one.choice[list] = rest % list_len(c->options, list);
    one.options = chosen_options(c, one.choice);
    NetworkOptions base = base_options(c, &one.options);
    one.options.no_warnings = number > 0;
    base.no_warnings = true;
    if (cost_of(c, &one.options, &one.cost) && cost_of(c, &base, &one.base)) {
      VEC_PUSH(c->arena, all, one);
      continue;
    }
    const char *which = "";
    for (size_t list = 0; list < n_lists; list++)
      which =
          arena_printf(c->arena, "%s%s%s = %s", which, list ? ", " : "",
                       list_name(c->options, list), chosen_text(c->arena, c->options, &one, list));
    diag_note(c->diag, (Loc){0}, "with %s", which);
    return;
  }
  switch (c->options->format) {
  case FORMAT_TEXT:
    table_text(c, all.at, all.len);
    return;
  case FORMAT_JSON:
    table_json(c, all.at, all.len);
    return;
  case FORMAT_CSV:
    table_csv(c, all.at, all.len);
    return;
  }
}

static void report(Command *c) {
  size_t *first = ARENA_ARRAY(c->arena, size_t, lists(c->options));
  NetworkOptions options = chosen_options(c, first);
  Network *network = network_build(c->arena, c->diag, c->file, &options);
  if (!network)
    return;
  if (c->options->verify == 1)
    network_verify(network);
  NetworkCost cost = network_cost(network);
  switch (c->options->format) {
  case FORMAT_TEXT:
    report_text(c, network, &cost);
    return;
  case FORMAT_JSON:
    report_json(c, network, &cost);
    return;
  case FORMAT_CSV:
    report_csv(c, network, &cost);
    return;
  }
}

static bool has_lists(const Options *options) {
  for (size_t list = 0; list < lists(options); list++)
    if (list_len(options, list) > 1)
      return true;
  return false;
}

static int run(Command *c) {
  char *text = NULL;
  size_t len = 0;
  const char *path = c->options->input;
  const char *problem = read_file(path, &text, &len);
  if (problem || len > INT32_MAX) {
    diag_error(c->diag, (Loc){0}, "cannot read '%s': %s", path,
               problem ? problem : "the file is too large");
    free(text);
    return EXIT_IO;
  }
  Source source = {strcmp(path, "-") == 0 ? "<stdin>" : path, text, (uint32_t)len};
  AstFile *file = ast_parse(c->arena, c->diag, &source);
  ast_include(c->arena, c->diag, file);
  c->file = file;
  if (!c->diag->errors) {
    if (has_lists(c->options) && c->file->network)
      sweep(c);
    else
      report(c);
  }
  free(text);
  if (c->diag->errors)
    return EXIT_USER;
  const char *output = c->options->output ? c->options->output : "-";
  problem = write_file(output, c->w.data, c->w.len);
  if (problem) {
    diag_error(c->diag, (Loc){0}, "cannot write '%s': %s", output, problem);
    return EXIT_IO;
  }
  return EXIT_FINE;
}

int command_cost(const Options *options) {
  Arena *arena = arena_new();
  Diag diag;
  diag_init(&diag, arena);
  options_diag(options, &diag);
  Command command = {.arena = arena, .diag = &diag, .options = options};
  writer_init(&command.w);
  int status = run(&command);
  writer_free(&command.w);
  arena_free(arena);
  return status;
}
