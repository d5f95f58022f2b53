/* mncc run NET.mn INPUT …: compiles in memory (or evaluates with --evaluate)
 * and prints the outputs, or writes them to -o. */
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/session.h"
#include "commands/tensor_file.h"

static const Loc nowhere = {0};

/* One input or output of the program. */
typedef struct Port {
  const char *name;
  Shape shape;
  float *data; /* in the session's arena */
} Port;

typedef VEC(Port) Ports;

static int read_inputs(Session *session, Ports *ports) {
  const Options *options = session->compilation.options;
  if (options->run_inputs.len != ports->len) {
    const char *list = "";
    for (size_t i = 0; i < ports->len; i++)
      list = arena_printf(session->arena, "%s%s%s: %s", list, i ? ", " : "", ports->at[i].name,
                          shape_text(session->arena, &ports->at[i].shape));
    diag_error(&session->diag, nowhere, "the network has %zu input%s (%s), but %zu file%s given", ports->len,
               ports->len == 1 ? "" : "s", list, options->run_inputs.len, options->run_inputs.len == 1 ? " is" : "s are");
    return EXIT_USER;
  }
  for (size_t i = 0; i < ports->len; i++) {
    int status =
        tensor_read(&session->diag, options->run_inputs.at[i], ports->at[i].name, &ports->at[i].shape, ports->at[i].data);
    if (status != EXIT_FINE)
      return status;
  }
  return EXIT_FINE;
}

static int execute(Session *session, const Ports *inputs, const Ports *outputs) {
  const Compilation *c = &session->compilation;
  const float **in = ARENA_ARRAY(session->arena, const float *, inputs->len + 1);
  float **out = ARENA_ARRAY(session->arena, float *, outputs->len + 1);
  for (size_t i = 0; i < inputs->len; i++)
    in[i] = inputs->at[i].data;
  for (size_t i = 0; i < outputs->len; i++)
    out[i] = outputs->at[i].data;
  if (c->options->evaluate) {
    graph_evaluate(c->graph, session->weights, in, out);
    return EXIT_FINE;
  }
#if MNCC_HAVE_LLVM
  const void **in_bytes = ARENA_ARRAY(session->arena, const void *, inputs->len + 1);
  void **out_bytes = ARENA_ARRAY(session->arena, void *, outputs->len + 1);
  for (size_t i = 0; i < inputs->len; i++)
    in_bytes[i] = in[i];
  for (size_t i = 0; i < outputs->len; i++)
    out_bytes[i] = out[i];
  session->emit.prefix = "network";
  session->emit.weights_as_blob = false;
  Jit *jit = jit_new(c->program, c->target, &session->emit, &session->diag);
  if (!jit)
    return session_failed(session);
  jit_run(jit, in_bytes, out_bytes);
  jit_free(jit);
  return EXIT_FINE;
#else
  diag_error(&session->diag, nowhere, "this mncc was built without LLVM: run takes --evaluate (the reference evaluator) only");
  return EXIT_USER;
#endif
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
  for (int64_t i = 0; i < n; i++) {
    format_f32(text, port->data[i]);
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

static void make_ports(Session *session, Ports *inputs, Ports *outputs) {
  const Network *network = session->compilation.network;
  for (size_t i = 0; i < network->inputs.len; i++) {
    const Tensor *tensor = network->inputs.at[i];
    Port port = {tensor->name, tensor->shape, ARENA_ARRAY(session->arena, float, shape_elems(&tensor->shape))};
    VEC_PUSH(session->arena, *inputs, port);
  }
  for (size_t i = 0; i < network->outputs.len; i++) {
    const Shape *shape = &network->outputs.at[i].tensor->shape;
    Port port = {network->outputs.at[i].name, *shape, ARENA_ARRAY(session->arena, float, shape_elems(shape))};
    VEC_PUSH(session->arena, *outputs, port);
  }
}

static int run(Session *session) {
  Compilation *c = &session->compilation;
  if (c->is_loop_text) {
    diag_error(&session->diag, nowhere, "'%s' is loop text: run takes a network", session->source.name);
    return EXIT_USAGE;
  }
  bool stopped;
  if (!pipeline_run(c, c->options->evaluate ? STAGE_GRAPH : STAGE_PLAN, NULL, &stopped))
    return session_failed(session);
  Ports inputs = {0}, outputs = {0};
  make_ports(session, &inputs, &outputs);
  int status = read_inputs(session, &inputs);
  if (status == EXIT_FINE)
    status = session_weights(session);
  if (status == EXIT_FINE)
    status = execute(session, &inputs, &outputs);
  return status == EXIT_FINE ? write_ports(session, &outputs) : status;
}

int command_run(const Options *options) {
  Session session;
  int status = session_open(&session, options);
  if (status == EXIT_FINE)
    status = run(&session);
  session_close(&session);
  return status;
}
