/* Pass: a node that only surrounds its input with zeros disappears into a
 * reader that treats elements outside its input as zeros. */
#include "graph/graph.h"

static void absorb(Graph *graph, Node *reader) {
  Node *pad = reader->inputs[0]->producer;
  int64_t pads[4], more[4];
  if (!pad || !pad->call.def->pads_zero || pad->n_tails || pad->output->n_uses != 1 || pad->output->output >= 0 ||
      !pad->call.def->pads_zero(&pad->call, more))
    return;
  OpCall call = reader->call;
  call.def->zero_padding(&reader->call, pads);
  AttrValue *padding = &call.attrs[call.def->padding_attr];
  padding->padding = PADDING_EXPLICIT;
  for (int i = 0; i < 4; i++)
    padding->i[i] = pads[i] + more[i];
  call.inputs[0] = pad->call.inputs[0];
  /* Refused where the operator does not accept so much padding (taps that see nothing but zeros). */
  if (call.def->infer(graph->arena, &call) || !shape_equal(&call.output, &reader->call.output))
    return;
  reader->call = call;
  reader->inputs[0] = pad->inputs[0];
  pad->output = NULL;
}

void graph_absorb_padding(Graph *graph) {
  graph_count_uses(graph);
  for (size_t i = 0; i < graph->nodes.len; i++)
    if (graph->nodes.at[i]->call.def->zero_padding)
      absorb(graph, graph->nodes.at[i]);
  graph_sweep(graph);
}
