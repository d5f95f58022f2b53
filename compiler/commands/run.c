/* mncc run NET.mn INPUT …: compiles in memory (or evaluates with --evaluate)
 * and prints the outputs, or writes them to -o. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/ports.h"
#include "commands/tensor_file.h"
#include "commands/times.h"
#include "support/output.h"

static const Loc nowhere = {0};

/* Least, median and spread of the runs that --repeat asks for. */
static void report_times(Times *times) {
  if (!times->n)
    return;
  fprintf(stderr, "%lld runs: median %.4f ms, least %.4f ms, 10 to 90 %% of them %.4f to %.4f ms\n", (long long)times->n,
          1e3 * times_quantile(times, 0.5), 1e3 * times_quantile(times, 0), 1e3 * times_quantile(times, 0.1),
          1e3 * times_quantile(times, 0.9));
}

static int evaluate(Session *session, const Ports *inputs, const Ports *outputs) {
  const Graph *graph = session->compilation.graph;
  const void **in = ports_in(session, inputs);
  void **out = ports_out(session, outputs);
  graph_evaluate(graph, session->weights, in, out);
  int64_t repeat = session->compilation.options->repeat;
  Times times = times_new(session->arena, repeat);
  for (int64_t i = 0; i < repeat; i++) {
    double start = pipeline_seconds();
    graph_evaluate(graph, session->weights, in, out);
    times.seconds[i] = pipeline_seconds() - start;
  }
  report_times(&times);
  return EXIT_FINE;
}

#if MNCC_HAVE_LLVM
static int execute(Session *session, const Ports *inputs, const Ports *outputs) {
  const Compilation *c = &session->compilation;
  const void **in = ports_in(session, inputs);
  void **out = ports_out(session, outputs);
  session->emit.prefix = "network";
  Jit *jit = jit_new(c->program, c->target, &session->emit, &session->diag);
  if (!jit)
    return session_failed(session);
  jit_run(jit, in, out);
  Times times = times_new(session->arena, c->options->repeat);
  for (int64_t i = 0; i < times.n; i++) {
    double start = pipeline_seconds();
    jit_run(jit, in, out);
    times.seconds[i] = pipeline_seconds() - start;
  }
  report_times(&times);
  jit_free(jit);
  return EXIT_FINE;
}
#else
static int execute(Session *session, const Ports *inputs, const Ports *outputs) {
  (void)inputs;
  (void)outputs;
  diag_error(&session->diag, nowhere, "this mncc was built without LLVM: run takes --evaluate (the reference evaluator) only");
  return EXIT_USER;
}
#endif

/* Element i of an output. */
static void format_element(char text[32], const Port *port, int64_t i) {
  if (port->shape.elem == ELEM_I32)
    snprintf(text, 32, "%ld", (long)((const int32_t *)port->data)[i]);
  else
    format_f32(text, ((const float *)port->data)[i]);
}

/* The five greatest with their names; equal ones in order. */
static void print_top(Writer *w, const Port *port) {
  enum { TOP = 5 };
  const float *data = port->data;
  size_t n = port->labels.len, top[TOP], shown = 0;
  for (size_t i = 0; i < n; i++) {
    size_t at = shown < TOP ? shown++ : TOP;
    for (; at > 0 && data[i] > data[top[at - 1]]; at--)
      if (at < TOP)
        top[at] = top[at - 1];
    if (at < TOP)
      top[at] = i;
  }
  for (size_t k = 0; k < shown; k++) {
    char text[32];
    format_f32(text, data[top[k]]);
    write_f(w, "  [%zu] %s %s\n", top[k], text, port->labels.at[top[k]]);
  }
}

static void print_port(Writer *w, const Port *port, Format format, bool first) {
  int64_t n = shape_elems(&port->shape);
  char text[32];
  if (format == FORMAT_JSON) {
    write_text(w, first ? "" : ",\n ");
    write_quoted(w, port->name);
    write_text(w, ": [");
  } else if (format == FORMAT_TEXT) {
    write_f(w, "%s: ", port->name);
    shape_print(w, &port->shape);
    write_text(w, "\n");
  }
  if (format == FORMAT_TEXT && n == (int64_t)port->labels.len) {
    print_top(w, port);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    format_element(text, port, i);
    switch (format) {
    case FORMAT_TEXT:
      write_f(w, "  [%lld] %s\n", (long long)i, text);
      break;
    case FORMAT_JSON:
      write_f(w, "%s%s", i ? ", " : "", text);
      break;
    case FORMAT_CSV:
      write_f(w, "%s,%lld,%s\n", port->name, (long long)i, text);
      break;
    }
  }
  if (format == FORMAT_JSON)
    write_text(w, "]");
}

/* out.npy, or out.NAME.npy where there are several. */
static const char *output_path(Session *session, const char *path, const Ports *ports, size_t i) {
  if (ports->len == 1)
    return path;
  const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
  size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
  return arena_printf(session->arena, "%.*s.%s%s", (int)stem, path, ports->at[i].name, path + stem);
}

static int write_ports(Session *session, const Ports *ports) {
  const Options *options = session->compilation.options;
  bool to_files = options->output && strcmp(options->output, "-") != 0;
  size_t n = to_files ? ports->len : 1;
  Writer *writers = ARENA_ARRAY(session->arena, Writer, n);
  OutputFile *files = ARENA_ARRAY(session->arena, OutputFile, n);
  for (size_t i = 0; i < n; i++)
    writer_init(&writers[i]);
  if (options->format == FORMAT_JSON && !to_files)
    write_text(&writers[0], "{");
  for (size_t i = 0; i < ports->len; i++) {
    if (to_files) {
      const char *path = output_path(session, options->output, ports, i);
      tensor_write(&writers[i], path, &ports->at[i].shape, ports->at[i].data);
      files[i] = (OutputFile){path, writers[i].data, writers[i].len};
    } else {
      print_port(&writers[0], &ports->at[i], options->format, i == 0);
    }
  }
  if (!to_files) {
    if (options->format == FORMAT_JSON)
      write_text(&writers[0], "}\n");
    files[0] = (OutputFile){"-", writers[0].data, writers[0].len};
  }
  const char *failed = NULL, *problem = write_files(files, n, &failed);
  if (problem)
    diag_error(&session->diag, nowhere, "cannot write '%s': %s", failed, problem);
  for (size_t i = 0; i < n; i++)
    writer_free(&writers[i]);
  return problem ? EXIT_IO : EXIT_FINE;
}

/* The lines of a file of labels, beside the network's text. */
static int read_labels(Session *session, const NetworkOutput *output, Port *port) {
  const char *from = output->loc.source->name, *slash = strrchr(from, '/'), *name = output->labels_file;
  const char *path = !slash || name[0] == '/'
                         ? name
                         : arena_printf(session->arena, "%.*s%s", (int)(slash - from + 1), from, name);
  char *text = NULL;
  size_t len = 0;
  const char *problem = read_file(path, &text, &len);
  if (problem) {
    diag_error(&session->diag, output->loc, "cannot read the labels '%.200s': %s", path, problem);
    return EXIT_IO;
  }
  for (size_t i = 0; i < len;) {
    size_t n = strcspn(text + i, "\n"), shown = n && text[i + n - 1] == '\r' ? n - 1 : n;
    VEC_PUSH(session->arena, port->labels, arena_strndup(session->arena, text + i, shown));
    i += n + 1;
  }
  free(text);
  int64_t channels = port->shape.dims[port->shape.rank - 1];
  if ((int64_t)port->labels.len == channels)
    return EXIT_FINE;
  diag_error(&session->diag, output->loc, "'%.200s' has %zu labels for %lld channels", path, port->labels.len,
             (long long)channels);
  return EXIT_USER;
}

static int find_labels(Session *session, const Ports *outputs) {
  const Network *network = session->compilation.network;
  for (size_t i = 0; i < outputs->len; i++) {
    const NetworkOutput *output = &network->outputs.at[i];
    for (size_t k = 0; k < output->labels.len; k++)
      VEC_PUSH(session->arena, outputs->at[i].labels, output->labels.at[k]);
    int status = output->labels_file ? read_labels(session, output, &outputs->at[i]) : EXIT_FINE;
    if (status != EXIT_FINE)
      return status;
  }
  return EXIT_FINE;
}

static int run(Session *session) {
  Compilation *c = &session->compilation;
  bool stopped;
  if (!pipeline_run(c, c->options->evaluate ? STAGE_GRAPH : STAGE_PLAN, NULL, &stopped))
    return session_failed(session);
  Ports inputs = {0}, outputs = {0};
  ports_make(session, &inputs, &outputs);
  int status = find_labels(session, &outputs);
  if (status == EXIT_FINE)
    status = ports_read(session, &inputs, false);
  if (status == EXIT_FINE)
    status = session_weights(session);
  if (status == EXIT_FINE)
    status = c->options->evaluate ? evaluate(session, &inputs, &outputs) : execute(session, &inputs, &outputs);
  return status == EXIT_FINE ? write_ports(session, &outputs) : status;
}

int command_run(const Options *options) { return session_run(options, "run", run); }
