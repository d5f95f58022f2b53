/* Scripts with which shells complete mncc's arguments, printed from the table
 * of options: verbs, options of a verb, and values that are words or files. */
#ifndef MNCC_COMPLETION_H
#define MNCC_COMPLETION_H

#include "options.h"

/* For bash in the way of bash-completion, without needing it; for zsh a function of its compsys; for fish a list. */
void completion_print(Writer *w, Shell shell);

#endif
