/* A picture's bytes become what the input takes: a u8 input the bytes; an f32
 * input that has a mean or a scale the numbers 0 to 255, since the network sees
 * to the rest; any other (byte - mean) * scale with --mean and --scale, by
 * default 0 and 1/255. */
#include "commands/ports.h"

#include <stdlib.h>

#include "commands/image.h"
#include "commands/tensor_file.h"

static const Loc nowhere = {0};

static Port make_port(Session *session, const char *name, const Shape *shape) {
  return (Port){.name = name, .shape = *shape, .data = arena_alloc(session->arena, (size_t)shape_bytes(shape))};
}

void ports_make(Session *session, Ports *inputs, Ports *outputs) {
  const Network *network = session->compilation.network;
  for (size_t i = 0; i < network->inputs.len; i++) {
    const Tensor *tensor = network->inputs.at[i];
    VEC_PUSH(session->arena, *inputs, make_port(session, tensor->name, &tensor->shape));
  }
  for (size_t i = 0; i < network->outputs.len; i++) {
    const NetworkOutput *output = &network->outputs.at[i];
    VEC_PUSH(session->arena, *outputs, make_port(session, output->name, &output->tensor->shape));
  }
}

/* ---- pictures ---- */

/* The network itself subtracts a mean or multiplies by a scale. */
static bool is_normalized(const Network *network, size_t input) {
  for (size_t i = 0; i < network->layers.len; i++)
    if (network->layers.at[i]->call.def == op_input_def() && network->layers.at[i]->inputs[0] == network->inputs.at[input])
      return true;
  return false;
}

/* The c-th of one number for all channels or one for each. */
static double of_channel(const Numbers *numbers, int64_t c, double otherwise) {
  if (!numbers->len)
    return otherwise;
  return rational_to_double(numbers->at[numbers->len == 1 ? 0 : (size_t)c]);
}

static bool check_numbers(Session *session, const char *option, const Numbers *numbers, const Port *port, bool fixed) {
  if (!numbers->len)
    return true;
  int64_t channels = port->shape.dims[2];
  if (fixed) {
    diag_error(&session->diag, nowhere, "%s: input '%s' %s", option, port->name,
               port->shape.elem == ELEM_U8 ? "takes the bytes of the picture" : "has a mean or a scale in the network already");
    return false;
  }
  if (numbers->len == 1 || (int64_t)numbers->len == channels)
    return true;
  diag_error(&session->diag, nowhere, "%s has %zu numbers; input '%s' has %lld channel%s", option, numbers->len, port->name,
             (long long)channels, channels == 1 ? "" : "s");
  return false;
}

static void pixels_to_floats(const Options *options, const uint8_t *pixels, bool fixed, const Port *port) {
  float *data = port->data;
  int64_t channels = port->shape.dims[2];
  for (int64_t i = 0; i < shape_elems(&port->shape); i++) {
    double scale = fixed ? 1 : of_channel(&options->image_scale, i % channels, 1.0 / 255);
    data[i] = (float)((pixels[i] - of_channel(&options->image_mean, i % channels, 0)) * scale);
  }
}

static int read_picture(Session *session, const char *path, size_t input, Port *port) {
  const Options *options = session->compilation.options;
  bool bytes = port->shape.elem == ELEM_U8, fixed = bytes || is_normalized(session->compilation.network, input);
  uint8_t *pixels = bytes ? port->data : malloc((size_t)shape_elems(&port->shape));
  if (!pixels)
    BUG("out of memory");
  int status = image_read(&session->diag, path, port->name, &port->shape, options->fit, pixels);
  if (status == EXIT_FINE && (!check_numbers(session, "--mean", &options->image_mean, port, fixed) ||
                              !check_numbers(session, "--scale", &options->image_scale, port, fixed)))
    status = EXIT_USER;
  if (bytes)
    return status;
  if (status == EXIT_FINE)
    pixels_to_floats(options, pixels, fixed, port);
  free(pixels);
  return status;
}

/* ---- files ---- */

static int wrong_count(Session *session, const Ports *ports, size_t given) {
  const char *list = "";
  for (size_t i = 0; i < ports->len; i++)
    list = arena_printf(session->arena, "%s%s%s: %s", list, i ? ", " : "", ports->at[i].name,
                        shape_text(session->arena, &ports->at[i].shape));
  diag_error(&session->diag, nowhere, "the network has %zu input%s (%s), but %zu file%s given", ports->len,
             ports->len == 1 ? "" : "s", list, given, given == 1 ? " is" : "s are");
  return EXIT_USER;
}

int ports_read(Session *session, Ports *inputs, bool random) {
  const Strings *files = &session->compilation.options->run_inputs;
  bool draw = random && !files->len;
  if (!draw && files->len != inputs->len)
    return wrong_count(session, inputs, files->len);
  for (size_t i = 0; i < inputs->len; i++) {
    Port *port = &inputs->at[i];
    const char *path = draw ? arena_printf(session->arena, "random:%zu", i + 1) : files->at[i];
    int status = image_is(path) ? read_picture(session, path, i, port)
                                : tensor_read(&session->diag, path, port->name, &port->shape, port->data);
    if (status != EXIT_FINE)
      return status;
  }
  return EXIT_FINE;
}

int ports_prepare(Session *session, StageKind last, Ports *inputs, Ports *outputs) {
  bool stopped;
  if (!pipeline_run(&session->compilation, last, NULL, &stopped))
    return session_failed(session);
  ports_make(session, inputs, outputs);
  int status = ports_read(session, inputs, true);
  return status == EXIT_FINE ? session_weights(session) : status;
}

/* ---- pointers ---- */

const void **ports_in(Session *session, const Ports *inputs) {
  const void **in = ARENA_ARRAY(session->arena, const void *, inputs->len + 1);
  for (size_t i = 0; i < inputs->len; i++)
    in[i] = inputs->at[i].data;
  return in;
}

void **ports_out(Session *session, const Ports *outputs) {
  void **out = ARENA_ARRAY(session->arena, void *, outputs->len + 1);
  for (size_t i = 0; i < outputs->len; i++)
    out[i] = outputs->at[i].data;
  return out;
}
