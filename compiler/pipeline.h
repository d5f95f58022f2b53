/* The list of stages and passes, and the runner that verifies, prints, times
 * and stops.
 *
 *     text → tokens → AST → network → graph → regions → loops → plan → C | LLVM IR → object
 *
 * A network (.mn) enters at the top; loop text (.mnl) enters at the loops. */
#ifndef MNCC_PIPELINE_H
#define MNCC_PIPELINE_H

#include "ast/ast.h"
#include "graph/graph.h"
#include "loop/loop.h"
#include "network/network.h"
#include "options.h"
#include "region/region.h"
#include "target/target.h"

/* The representations, in order. */
typedef enum StageKind { STAGE_AST, STAGE_NETWORK, STAGE_GRAPH, STAGE_REGIONS, STAGE_LOOPS, STAGE_PLAN } StageKind;

typedef struct Compilation {
  Arena *arena;
  Diag *diag;
  const Options *options;
  const Source *source;
  bool is_loop_text;
  const Target *target;
  const Source *regions_file, *schedule_file; /* --regions, --schedule; or null */
  const Source *tuned_file; /* --tuned, or null */
  SharedWeights shared_weights;
  int tile_candidate;       /* for mncc tune: see Regions.candidate */

  AstFile *ast;
  AstFiles included;
  Network *network;
  Graph *graph;
  Regions *regions;
  Program *program;
} Compilation;

/* Runs the passes up to and including those of `last`. Returns false after errors. If --stop-after names a pass, stops
 * behind it, prints its stage to `out` and sets *stopped. */
bool pipeline_run(Compilation *c, StageKind last, Writer *out, bool *stopped);

/* The passes from those of `first` to those of `last`, which must find what the stages before made. Ignores --stop-after. */
bool pipeline_go_on(Compilation *c, StageKind first, StageKind last);

/* Seconds of a clock that only goes forward, for --verbose. */
double pipeline_seconds(void);

/* Prints the current form of a stage. */
void pipeline_print(Writer *w, const Compilation *c, StageKind stage);

/* The passes in order, a line each. */
void pipeline_list(Writer *w);
/* The name of pass i, or null behind the last; *optional: it can be skipped. */
const char *pipeline_pass_name(int i, bool *optional);

/* Checks --stop-after, --print-after and --skip; false after an error through diag. */
bool pipeline_check_options(Diag *diag, const Options *options);

#endif
