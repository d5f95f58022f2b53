/* The inputs and outputs of a network that is run: their memory, and what is
 * read into the inputs (files of numbers, pictures, random numbers). */
#ifndef MNCC_COMMANDS_PORTS_H
#define MNCC_COMMANDS_PORTS_H

#include "commands/session.h"

/* One input or output of the program. */
typedef struct Port {
  const char *name;
  Shape shape;
  void *data; /* elements of the shape's type, in the session's arena */
  VEC(const char *) labels; /* of the channels; none: they have no names */
} Port;

typedef VEC(Port) Ports;

/* Memory for all inputs and outputs of the network. Needs the pipeline's network stage. */
void ports_make(Session *session, Ports *inputs, Ports *outputs);

/* Fills the inputs from the command line's files, one each; where there are none at all and `random` is set, with
 * random:1, random:2, ... EXIT_FINE, or the exit status after an error through diag. */
int ports_read(Session *session, Ports *inputs, bool random);

/* All that comes before a network is run: the passes up to `last`, the ports, what is read into the inputs (random numbers
 * where no file is given), and the weights. EXIT_FINE, or the exit status after an error. */
int ports_prepare(Session *session, StageKind last, Ports *inputs, Ports *outputs);

/* What compiled code and the evaluator take: a pointer for each. In the session's arena. */
const void **ports_in(Session *session, const Ports *inputs);
void **ports_out(Session *session, const Ports *outputs);

#endif
