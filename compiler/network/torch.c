/* The network as a PyTorch module.
 *
 * Layers with weights become submodules nested as their paths say, so that the
 * keys of state_dict are the names in mncc's weights files. Images come and go
 * as [N, H, W, C], mncc's own order; between, tensors are PyTorch's [N, C, H, W].
 * What is particular to an operator is written by its torch hooks. */
#include "network/network.h"

#include <ctype.h>
#include <string.h>

/* Names that the generated forward must not rebind: Python's keywords and what the text uses. */
static const char *const python_names[] = {
    "False",   "None",     "True",     "and",    "as",   "assert", "async",  "await",
    "break",   "class",    "continue", "def",    "del",  "elif",   "else",   "except",
    "finally", "for",      "from",     "global", "if",   "import", "in",     "is",
    "lambda",  "nonlocal", "not",      "or",     "pass", "raise",  "return", "try",
    "while",   "with",     "yield",    "match",  "nn",   "F",      "torch",  "self",
    "float",   "super",    "math",     "int",    "len",  "range",  "layer",  "print"};

typedef struct Names {
  Arena *arena;
  const Network *network;
} Names;

static bool is_python_name(const char *name) {
  for (size_t i = 0; i < sizeof python_names / sizeof *python_names; i++)
    if (strcmp(name, python_names[i]) == 0)
      return true;
  return false;
}

static bool is_tensor_name(const Network *network, const char *name) {
  for (size_t i = 0; i < network->inputs.len; i++)
    if (strcmp(network->inputs.at[i]->name, name) == 0)
      return true;
  for (size_t i = 0; i < network->layers.len; i++)
    if (strcmp(network->layers.at[i]->output->name, name) == 0)
      return true;
  return false;
}

/* The Python variable of a tensor. Names that Python or the text needs get an underscore. */
static const char *variable(const Names *names, const Tensor *tensor) {
  const char *name = tensor->name;
  if (!is_python_name(name) && strncmp(name, "__", 2) != 0)
    return name;
  do
    name = arena_printf(names->arena, "v_%s", name);
  while (is_tensor_name(names->network, name));
  return name;
}

/* mobilenet_v1 -> MobilenetV1. */
static const char *class_name(Arena *arena, const char *name) {
  char *text = arena_alloc(arena, strlen(name) + 8);
  size_t n = 0;
  bool upper = true;
  for (const char *c = name; *c; c++) {
    if (*c == '_') {
      upper = true;
      continue;
    }
    text[n++] = upper ? (char)toupper((unsigned char)*c) : *c;
    upper = false;
  }
  text[n] = '\0';
  if (!n || isdigit((unsigned char)text[0]) || is_python_name(text) || strcmp(text, "Nested") == 0)
    return arena_printf(arena, "Network%s", text);
  return text;
}

static bool has_module(const Layer *layer, Writer *scratch) {
  scratch->len = 0;
  if (layer->call.def->torch_module)
    layer->call.def->torch_module(scratch, &layer->call);
  return scratch->len != 0;
}

static void print_modules(Writer *w, const Network *network) {
  Writer module;
  writer_init(&module);
  write_text(w, "def __init__(self):\n");
  w->indent++;
  write_text(w, "super().__init__()\n");
  for (size_t i = 0; i < network->layers.len; i++)
    if (has_module(network->layers.at[i], &module)) {
      write_text(w, "self._add(");
      write_quoted(w, network->layers.at[i]->path);
      write_f(w, ", %.*s)\n", (int)module.len, module.data);
    }
  w->indent--;
  writer_free(&module);
}

static void print_helpers(Writer *w) {
  static const char *const lines[] = {
      "def _add(self, path, module):",
      "    parent, names = self, path.split('.')",
      "    for name in names[:-1]:",
      "        if name not in parent._modules:",
      "            parent._modules[name] = nn.Module()",
      "        parent = parent._modules[name]",
      "    if names[-1] in parent._modules:",
      "        module._modules.update(parent._modules[names[-1]]._modules)",
      "    parent._modules[names[-1]] = module",
      "",
      "def _layer(self, path):",
      "    module = self",
      "    for name in path.split('.'):",
      "        module = module._modules[name]",
      "    return module",
  };
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    write_f(w, "%s\n", lines[i]);
}

static void print_forward(Writer *w, const Network *network) {
  Arena *arena = arena_new();
  Names names = {arena, network};
  Writer scratch;
  writer_init(&scratch);
  write_text(w, "def forward(self");
  for (size_t i = 0; i < network->inputs.len; i++)
    write_f(w, ", %s", variable(&names, network->inputs.at[i]));
  write_text(w, "):\n");
  w->indent++;
  write_text(w, "layer = self._layer\n");
  for (size_t i = 0; i < network->inputs.len; i++)
    if (network->inputs.at[i]->shape.rank == 3) {
      const char *name = variable(&names, network->inputs.at[i]);
      write_f(w, "%s = %s.permute(0, 3, 1, 2)\n", name, name);
    }
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    const char *x[OP_MAX_INPUTS] = {0};
    for (int k = 0; k < layer->call.n_inputs; k++)
      x[k] = variable(&names, layer->inputs[k]);
    const char *self = "None";
    if (has_module(layer, &scratch)) {
      scratch.len = 0;
      write_quoted(&scratch, layer->path);
      self = arena_printf(arena, "layer(%.*s)", (int)scratch.len, scratch.data);
    }
    write_f(w, "%s = ", variable(&names, layer->output));
    if (layer->call.def->torch_forward)
      layer->call.def->torch_forward(w, &layer->call, self, x);
    else
      write_f(w, "%s(%s)", self, x[0]);
    write_text(w, "\n");
  }
  write_text(w, "return {\n");
  w->indent++;
  for (size_t i = 0; i < network->outputs.len; i++) {
    const NetworkOutput *output = &network->outputs.at[i];
    write_quoted(w, output->name);
    write_f(w, ": %s%s,\n", variable(&names, output->tensor),
            output->tensor->shape.rank == 3 ? ".permute(0, 2, 3, 1)" : "");
  }
  w->indent--;
  write_text(w, "}\n");
  w->indent--;
  writer_free(&scratch);
  arena_free(arena);
}

void network_print_pytorch(Writer *w, const Network *network) {
  Arena *arena = arena_new();
  int width = w->indent_width;
  w->indent_width = 4;
  write_f(w, "\"\"\"%s, as mncc sees it.\n\n", network->name);
  write_text(w,
             "Tensors come and go as [N, H, W, C] or [N, n]; forward returns a dict, one tensor\n"
             "per output. The keys of state_dict are the names in mncc's weights file.\n\"\"\"\n");
  write_text(w, "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n");
  write_f(w, "class %s(nn.Module):\n", class_name(arena, network->name));
  w->indent++;
  print_modules(w, network);
  write_text(w, "\n");
  print_helpers(w);
  write_text(w, "\n");
  print_forward(w, network);
  w->indent--;
  w->indent_width = width;
  arena_free(arena);
}
