/* What an option's value may be follows from its name in the table: words apart
 * by '|' are those words, FILE is a file, and STAGE, PASS and a target's NAME are
 * asked of those who know them; WHAT,... is a list with commas. Anything else is free. */
#include "completion.h"

#include <ctype.h>
#include <string.h>

#include "pipeline.h"
#include "target/target.h"

/* ---- values ---- */

typedef struct Values {
  VEC(const char *) words;
  bool files;
  bool list; /* of words, with commas between */
} Values;

static void add(Arena *arena, Values *values, const char *word) { VEC_PUSH(arena, values->words, word); }

static void add_stages(Arena *arena, Values *values) {
  for (int emit = EMIT_DEFAULT + 1; *emit_name((Emit)emit); emit++)
    add(arena, values, emit_name((Emit)emit));
}

static void add_passes(Arena *arena, Values *values, bool only_optional) {
  bool optional;
  const char *name;
  for (int i = 0; (name = pipeline_pass_name(i, &optional)); i++)
    if (optional || !only_optional)
      add(arena, values, name);
}

static void add_targets(Arena *arena, Values *values) {
  add(arena, values, "native");
  for (size_t i = 0; i < target_count(); i++)
    add(arena, values, target_at(i)->name);
}

static bool has_suffix(const char *text, const char *suffix) {
  size_t n = strlen(text), k = strlen(suffix);
  return n >= k && strcmp(text + n - k, suffix) == 0;
}

static bool is_lower(const char *text) {
  for (; *text; text++)
    if (!islower((unsigned char)*text))
      return false;
  return true;
}

/* The parts of the value's name say what it may be. */
static Values values_of(Arena *arena, const OptionInfo *info) {
  Values values = {0};
  for (const char *at = info->value; at && *at;) {
    size_t len = strcspn(at, "|");
    const char *part = arena_strndup(arena, at, len);
    values.list = values.list || has_suffix(part, ",...");
    if (is_lower(part))
      add(arena, &values, part);
    else if (strcmp(part, "FILE") == 0)
      values.files = true;
    else if (strcmp(part, "STAGE") == 0)
      add_stages(arena, &values);
    else if (strcmp(part, "PASS") == 0)
      add_passes(arena, &values, strcmp(info->name, "--skip") == 0);
    else if (strcmp(part, "TRIPLE") == 0)
      add_targets(arena, &values);
    else if (strcmp(part, "random:SEED") == 0)
      add(arena, &values, "random:1");
    else if (strcmp(part, "LEVEL") == 0)
      for (int level = 0; level <= 3; level++)
        add(arena, &values, arena_printf(arena, "%d", level));
    at += len + (at[len] == '|');
  }
  return values;
}

static const char *join(Arena *arena, const Values *values) {
  const char *text = "";
  for (size_t i = 0; i < values->words.len; i++)
    text = arena_printf(arena, "%s%s%s", text, i ? " " : "", values->words.at[i]);
  return text;
}

static bool is_long(const OptionInfo *info) { return info->name[1] == '-'; }

/* ---- bash ---- */

/* Options with one value for all verbs share a case. */
static void bash_values(Writer *w, Arena *arena) {
  VEC(const char *) seen = {0};
  for (int verb = 0; verb < VERB_COUNT; verb++) {
    OptionInfo info;
    for (size_t i = 0; option_next((Verb)verb, &i, &info);) {
      bool known = !info.value || info.joined;
      for (size_t k = 0; k < seen.len && !known; k++)
        known = strcmp(seen.at[k], info.name) == 0;
      if (known)
        continue;
      VEC_PUSH(arena, seen, info.name);
      Values values = values_of(arena, &info);
      write_f(w, "    %s) words=\"%s\" files=%d%s ;;\n", info.name, join(arena, &values), values.files,
              values.list ? " list=1" : "");
    }
  }
}

static void bash_options(Writer *w, Arena *arena) {
  for (int verb = 0; verb < VERB_COUNT; verb++) {
    write_f(w, "    %s) words=\"", verb_name((Verb)verb));
    OptionInfo info;
    const char *space = "";
    for (size_t i = 0; option_next((Verb)verb, &i, &info); space = " ") {
      Values values = values_of(arena, &info);
      if (!info.joined)
        write_f(w, "%s%s%s", space, info.name, info.value && is_long(&info) ? "=" : "");
      for (size_t k = 0; k < values.words.len && info.joined; k++)
        write_f(w, "%s%s%s", k ? " " : space, info.name, values.words.at[k]);
      if (info.joined && values.words.len == 0)
        write_f(w, "%s%s", space, info.name);
    }
    write_text(w, "\" ;;\n");
  }
}

/* The verbs that are words of the command line. */
static void write_verbs(Writer *w, const char *separator) {
  for (int verb = VERB_COMPILE + 1; verb < VERB_COUNT; verb++)
    write_f(w, "%s%s", verb > VERB_COMPILE + 1 ? separator : "", verb_name((Verb)verb));
}

static void print_bash(Writer *w, Arena *arena) {
  write_text(w, "# bash completion for mncc, printed by mncc --completion=bash\n"
                "_mncc() {\n"
                "  local cur=${COMP_WORDS[COMP_CWORD]} option= verb=compile words= files=1 list= prefix=\n"
                "  # '=' is a word of its own.\n"
                "  if [[ $cur == = ]]; then\n"
                "    option=${COMP_WORDS[COMP_CWORD-1]} cur=\n"
                "  elif [[ $COMP_CWORD -gt 2 && ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then\n"
                "    option=${COMP_WORDS[COMP_CWORD-2]}\n"
                "  else\n"
                "    option=${COMP_WORDS[COMP_CWORD-1]}\n"
                "  fi\n"
                "  case ${COMP_WORDS[1]} in\n    ");
  write_verbs(w, "|");
  write_text(w, ") [[ $COMP_CWORD -gt 1 ]] && verb=${COMP_WORDS[1]} ;;\n"
                "  esac\n"
                "  COMPREPLY=()\n"
                "  case $option in\n");
  bash_values(w, arena);
  write_text(w, "    *) option= ;;\n"
                "  esac\n"
                "  if [[ -z $option && $cur == -* ]]; then\n"
                "    files=0\n"
                "    case $verb in\n");
  bash_options(w, arena);
  write_text(w, "    esac\n"
                "  elif [[ -z $option && $COMP_CWORD -eq 1 ]]; then\n"
                "    words=\"");
  write_verbs(w, " ");
  write_text(w, "\"\n"
                "  fi\n"
                "  [[ -n $list && $cur == *,* ]] && prefix=${cur%,*},\n"
                "  local IFS=$' \\n'\n"
                "  [[ -n $words ]] && COMPREPLY=($(compgen -P \"$prefix\" -W \"$words\" -- \"${cur#\"$prefix\"}\"))\n"
                "  IFS=$'\\n'\n"
                "  [[ $files == 1 ]] && COMPREPLY+=($(compgen -f -- \"$cur\")) && compopt -o filenames 2>/dev/null\n"
                "  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
                "  return 0\n"
                "}\n"
                "complete -F _mncc mncc\n");
}

/* ---- zsh ---- */

/* Inside single quotes, with what _arguments takes for its own escaped. */
static void zsh_text(Writer *w, const char *text) {
  for (; *text; text++) {
    if (*text == '\'')
      write_text(w, "'\\''");
    else
      write_f(w, "%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
  }
}

static void zsh_option(Writer *w, Arena *arena, const OptionInfo *info) {
  Values values = values_of(arena, info);
  write_f(w, "        '*%s%s[", info->name, !info->value ? "" : info->joined ? "-" : is_long(info) ? "=" : "");
  zsh_text(w, info->help);
  write_text(w, "]");
  if (info->value) {
    write_text(w, ":");
    zsh_text(w, info->value);
    write_text(w, ":");
  }
  if (values.words.len && values.files)
    write_f(w, "{_alternative \"words:word:(%s)\" \"files:file:_files\"}", join(arena, &values));
  else if (values.words.len)
    write_f(w, values.list ? "{_sequence compadd - %s}" : "(%s)", join(arena, &values));
  else if (values.files)
    write_text(w, "_files");
  write_text(w, "' \\\n");
}

static void print_zsh(Writer *w, Arena *arena) {
  write_text(w, "#compdef mncc\n"
                "# zsh completion for mncc, printed by mncc --completion=zsh\n"
                "_mncc_first() {\n"
                "  local -a verbs=(\n");
  for (int verb = VERB_COMPILE + 1; verb < VERB_COUNT; verb++) {
    write_f(w, "    '%s:", verb_name((Verb)verb));
    zsh_text(w, verb_help((Verb)verb));
    write_text(w, "'\n");
  }
  write_text(w, "  )\n"
                "  _describe command verbs\n"
                "  _files\n"
                "}\n"
                "_mncc() {\n"
                "  case $words[2] in\n");
  for (int verb = VERB_COUNT - 1; verb >= VERB_COMPILE; verb--) {
    bool plain = verb == VERB_COMPILE;
    write_f(w, "    %s)\n      _arguments \\\n", plain ? "*" : verb_name((Verb)verb));
    OptionInfo info;
    for (size_t i = 0; option_next((Verb)verb, &i, &info);)
      zsh_option(w, arena, &info);
    if (plain)
      write_text(w, "        '1: :_mncc_first' '*:file:_files' ;;\n");
    else
      write_f(w, "        '1:command:(%s)' '*:file:_files' ;;\n", verb_name((Verb)verb));
  }
  write_text(w, "  esac\n"
                "}\n"
                "if [[ $funcstack[1] == _mncc ]]; then _mncc \"$@\"; else compdef _mncc mncc; fi\n");
}

/* ---- fish ---- */

static void fish_text(Writer *w, const char *text) {
  write_text(w, "'");
  for (; *text; text++)
    write_f(w, "%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
  write_text(w, "'");
}

static void fish_option(Writer *w, Arena *arena, Verb verb, const OptionInfo *info) {
  Values values = values_of(arena, info);
  size_t len = strlen(info->name);
  write_f(w, "complete -c mncc -n '__mncc_is %s' %s %s", verb_name(verb), is_long(info) ? "-l" : len == 2 ? "-s" : "-o",
          info->name + (is_long(info) ? 2 : 1));
  if (info->value)
    write_text(w, values.files ? " -r -F" : " -x");
  if (values.words.len) {
    write_text(w, " -a ");
    fish_text(w, values.list ? arena_printf(arena, "(__mncc_list %s)", join(arena, &values)) : join(arena, &values));
  }
  write_text(w, " -d ");
  fish_text(w, info->help);
  write_text(w, "\n");
}

static void print_fish(Writer *w, Arena *arena) {
  write_text(w, "# fish completion for mncc, printed by mncc --completion=fish\n"
                "function __mncc_is\n"
                "    set -l words (commandline -opc)\n"
                "    set -l verb compile\n"
                "    if set -q words[2]; and contains -- $words[2]");
  for (int verb = VERB_COMPILE + 1; verb < VERB_COUNT; verb++)
    write_f(w, " %s", verb_name((Verb)verb));
  write_text(w, "\n"
                "        set verb $words[2]\n"
                "    end\n"
                "    test $verb = $argv[1]\n"
                "end\n"
                "function __mncc_list\n"
                "    set -l token (commandline -ct)\n"
                "    set -l before (string replace -r '^--[a-z]+=' '' -- \"$token\" | string replace -r '[^,]*$' '')\n"
                "    printf '%s\\n' \"$before\"$argv\n"
                "end\n"
                "function __mncc_first\n"
                "    test (count (commandline -opc)) -eq 1\n"
                "end\n");
  for (int verb = VERB_COMPILE + 1; verb < VERB_COUNT; verb++) {
    write_f(w, "complete -c mncc -n __mncc_first -a %s -d ", verb_name((Verb)verb));
    fish_text(w, verb_help((Verb)verb));
    write_text(w, "\n");
  }
  for (int verb = 0; verb < VERB_COUNT; verb++) {
    OptionInfo info;
    for (size_t i = 0; option_next((Verb)verb, &i, &info);)
      fish_option(w, arena, (Verb)verb, &info);
  }
}

void completion_print(Writer *w, Shell shell) {
  Arena *arena = arena_new();
  switch (shell) {
  case SHELL_NONE:
    break;
  case SHELL_BASH:
    print_bash(w, arena);
    break;
  case SHELL_ZSH:
    print_zsh(w, arena);
    break;
  case SHELL_FISH:
    print_fish(w, arena);
    break;
  }
  arena_free(arena);
}
