/* Files from which editors know how to colour networks (.mn), printed from the tables that mncc
 * itself reads by: keywords, operators, attributes, functions, words. */
#ifndef MNCC_HIGHLIGHTING_H
#define MNCC_HIGHLIGHTING_H

#include "options.h"

/* A syntax file of Vim's, or a TextMate grammar in JSON, which VS Code and others read. */
void highlighting_print(Writer *w, Editor editor);

#endif
