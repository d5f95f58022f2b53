/* What compiling and running share: opening the input, choosing the target,
 * running the passes, finding the weights. */
#ifndef MNCC_COMMANDS_SESSION_H
#define MNCC_COMMANDS_SESSION_H

#include "pipeline.h"

typedef struct Session {
  Arena *arena;
  Diag diag;
  Source source;
  Compilation compilation;
  VEC(char *) texts; /* malloc'd: the files that were read */
  Weights *weights;
  const char *weights_file; /* from which they come; null: from none */
  EmitOptions emit;
  VEC(const Target *) targets; /* what --target names: one, or for `compile` several, of which compilation.target is the first */
  const Source **tuned; /* by target: the file of --tuned that was measured for it, or null */
} Session;

/* Reads the input and the files that options name, and finds the target. Returns EXIT_FINE or the exit status after
 * an error. session_close in either case. */
int session_open(Session *session, const Options *options);
void session_close(Session *session);

/* Finds, opens and checks the weights: --weights, the file that the network names, NET.safetensors beside NET.mn.
 * EXIT_FINE, or the status after an error that names these ways. */
int session_weights(Session *session);

/* The whole of a command on a network: opens, refuses loop text in the name of `verb`, runs, closes. The exit status. */
int session_run(const Options *options, const char *verb, int run(Session *session));

/* Writes the text to the file that -o names, else to standard output. EXIT_FINE or EXIT_IO after an error through diag. */
int session_write(Session *session, const Writer *w);

/* Exit status after diag has errors. */
int session_failed(const Session *session);

#endif
