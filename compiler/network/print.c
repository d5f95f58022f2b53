/* The network as a program in its own language: no parameters, no blocks, one
 * flow a layer, every attribute explicit. Compiled, it gives the same text. */
#include "network/network.h"

static void print_call(Writer *w, const Layer *layer) {
  const OpCall *call = &layer->call;
  const OpDef *def = call->def;
  const char *separator = "";
  if (call->n_inputs == 1)
    write_f(w, "%s -> ", layer->inputs[0]->name);
  write_f(w, "%s(", def->name);
  if (call->n_inputs > 1)
    for (int i = 0; i < call->n_inputs; i++, separator = ", ")
      write_f(w, "%s%s", separator, layer->inputs[i]->name);
  /* Required attributes by position, as people write them; with the first named one position ends.
   */
  bool positional = true;
  for (int i = 0; i < def->n_attrs; i++, separator = ", ") {
    positional = positional && def->attrs[i].required && !def->attrs[i].named_only;
    write_text(w, separator);
    if (!positional)
      write_f(w, "%s = ", def->attrs[i].name);
    attr_print(w, &def->attrs[i], &call->attrs[i]);
  }
  write_f(w, "%sname = ", separator);
  write_quoted(w, layer->path);
  write_text(w, ")");
}

static void print_labels(Writer *w, const NetworkOutput *output) {
  if (!output->labels_file && output->labels.len == 0)
    return;
  write_text(w, "(labels = ");
  if (output->labels_file)
    write_quoted(w, output->labels_file);
  for (size_t i = 0; i < output->labels.len; i++) {
    write_text(w, i ? ", " : "[");
    write_quoted(w, output->labels.at[i]);
  }
  write_text(w, output->labels_file ? ")" : "])");
}

void network_print(Writer *w, const Network *network) {
  write_f(w, "network %s() {\n", network->name);
  w->indent++;
  for (size_t i = 0; i < network->inputs.len; i++) {
    write_f(w, "input %s: ", network->inputs.at[i]->name);
    shape_print(w, &network->inputs.at[i]->shape);
    write_text(w, ";\n");
  }
  if (network->weights_file) {
    write_text(w, "weights ");
    write_quoted(w, network->weights_file);
    write_text(w, ";\n");
  }
  for (size_t i = 0; i < network->layers.len; i++) {
    const Layer *layer = network->layers.at[i];
    print_call(w, layer);
    write_f(w, " -> let %s;  // ", layer->output->name);
    shape_print(w, &layer->output->shape);
    write_text(w, "\n");
  }
  for (size_t i = 0; i < network->outputs.len; i++) {
    const NetworkOutput *output = &network->outputs.at[i];
    write_f(w, "%s -> output %s", output->tensor->name, output->name);
    print_labels(w, output);
    write_text(w, ";\n");
  }
  w->indent--;
  write_text(w, "}\n");
}
