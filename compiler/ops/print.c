/* The operators as a page of documentation and as a section of the manual, printed from their table. */
#include "ops/op.h"

static const char *type_text(AttrType type) {
  switch (type) {
  case ATTR_INT:
    return "whole number";
  case ATTR_KERNEL:
    return "`3x3`, `3` or `[3, 3]`";
  case ATTR_PADDING:
    return "`same`, `valid`, `p`, `[ph, pw]` or `[top, left, bottom, right]`";
  case ATTR_NUMBER:
    return "number";
  case ATTR_BOOL:
    return "`true` or `false`";
  case ATTR_DIMS:
    return "`[n]` or `[h, w, c]`";
  case ATTR_NUMBERS:
    return "number, or a list of one per channel";
  }
  return "";
}

static void print_op(Writer *w, const OpDef *def) {
  write_f(w, "\n## %s\n\n%s.", def->name, def->doc);
  write_f(w, " Inputs: %d", def->min_inputs);
  if (def->max_inputs > def->min_inputs)
    write_f(w, " to %d", def->max_inputs);
  write_text(w, ".\n");
  if (def->n_attrs == 0)
    return;
  write_text(w, "\n| attribute | values | default | meaning |\n|---|---|---|---|\n");
  for (int i = 0; i < def->n_attrs; i++) {
    const AttrDef *attr = &def->attrs[i];
    write_f(w, "| %s | %s | ", attr->name, type_text(attr->type));
    if (attr->required)
      write_text(w, "required");
    else
      attr_print(w, attr, &attr->value);
    write_f(w, " | %s |\n", attr->doc);
  }
}

void op_print_all(Writer *w) {
  write_text(w, "# Operators\n\nPrinted by `mncc --print-ops` from the table in compiler/ops. Attributes may be given in the "
                "order\nlisted, or by name. Tensors are [height, width, channels], or [n].\n");
  for (size_t i = 0; i < op_count(); i++)
    if (!op_at(i)->internal && !op_at(i)->refusal)
      print_op(w, op_at(i));
  write_text(w, "\n## Not supported\n\nThese names are errors that say what would do.\n\n| operator | why |\n|---|---|\n");
  for (size_t i = 0; i < op_count(); i++)
    if (op_at(i)->refusal)
      write_f(w, "| %s | %s |\n", op_at(i)->name, op_at(i)->refusal);
}

/* ---- for man ---- */

static void write_plain(Writer *w, const char *text) {
  for (; *text; text++)
    if (*text != '`')
      write_bytes(w, text, 1);
}

static void print_manual_op(Writer *w, const OpDef *def) {
  write_f(w, ".Ss %s\n", def->name);
  write_plain(w, def->doc);
  write_f(w, ".\nInputs: %d", def->min_inputs);
  if (def->max_inputs > def->min_inputs)
    write_f(w, " to %d", def->max_inputs);
  write_text(w, ".\n");
  if (def->n_attrs == 0)
    return;
  write_text(w, ".Bl -tag -width Ds\n");
  for (int i = 0; i < def->n_attrs; i++) {
    const AttrDef *attr = &def->attrs[i];
    write_f(w, ".It Cm %s\n", attr->name);
    write_plain(w, attr->doc);
    write_text(w, ":\n");
    write_plain(w, type_text(attr->type));
    if (attr->required) {
      write_text(w, "; required.\n");
    } else {
      write_text(w, "; default ");
      attr_print(w, attr, &attr->value);
      write_text(w, ".\n");
    }
  }
  write_text(w, ".El\n");
}

void op_print_manual(Writer *w) {
  write_text(w, ".Sh OPERATORS\nAttributes may be given in the order listed, or by name.\n"
                "Tensors are [height, width, channels], or [n].\n");
  for (size_t i = 0; i < op_count(); i++)
    if (!op_at(i)->internal && !op_at(i)->refusal)
      print_manual_op(w, op_at(i));
}
