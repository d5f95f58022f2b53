/* The verbs of mncc, a file each. Each returns the exit status. */
#ifndef MNCC_COMMANDS_COMMANDS_H
#define MNCC_COMMANDS_COMMANDS_H

#include "options.h"

/* Compiles a network or loop text to what --emit, -c or -o's suffix asks for. */
int command_compile(const Options *options);

/* Prints MACs, parameters and activation bytes, per layer and in total, or for
 * lists of parameter values the trade-off table. Returns the exit status. */
int command_cost(const Options *options);

/* Compiles in memory and runs the network on input files. Returns the exit status. */
int command_run(const Options *options);

/* Measures the stages of the compiled network. Returns the exit status. */
int command_bench(const Options *options);

/* Compares evaluator, LLVM and C. Returns the exit status: EXIT_USER too if they part. */
int command_verify(const Options *options);

/* Measures register tiles and writes the best to a file. Returns the exit status. */
int command_tune(const Options *options);

/* Formats networks: to standard output, into their files (-i), or only says which are not formatted (--check). Returns
 * the exit status; of several files the worst. */
int command_fmt(const Options *options);

#endif
