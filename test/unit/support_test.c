/* Unit tests of support/: silent and 0, or the failed checks and 1. */
#define _XOPEN_SOURCE 700

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/arena.h"
#include "support/diag.h"
#include "support/output.h"
#include "support/rational.h"
#include "support/vec.h"
#include "support/writer.h"
#include "check.h"

static bool same(Rational a, int64_t num, int64_t den) { return a.num == num && a.den == den; }

static bool parses(const char *text, int64_t num, int64_t den) {
  Rational value;
  return rational_parse(text, strlen(text), &value) && same(value, num, den);
}

static bool refused(const char *text) {
  Rational value;
  return !rational_parse(text, strlen(text), &value);
}

static bool prints(Arena *arena, int64_t num, int64_t den, const char *text) {
  bool ok = true;
  return strcmp(rational_text(arena, rational_make(num, den, &ok)), text) == 0 && ok;
}

static void test_rational(Arena *arena) {
  bool ok = true;
  Rational sixth = rational_make(6, 7, &ok);
  CHECK(same(rational_mul(sixth, rational_int(224), &ok), 192, 1));
  CHECK(same(rational_make(6, -8, &ok), -3, 4));
  CHECK(same(rational_make(0, -8, &ok), 0, 1));
  CHECK(same(rational_add(rational_make(1, 6, &ok), rational_make(1, 3, &ok), &ok), 1, 2));
  CHECK(same(rational_sub(rational_make(1, 6, &ok), rational_make(1, 3, &ok), &ok), -1, 6));
  CHECK(same(rational_div(rational_int(3), rational_int(-6), &ok), -1, 2));
  CHECK(same(rational_floor(rational_make(-7, 2, &ok)), -4, 1));
  CHECK(same(rational_floor(rational_make(7, 2, &ok)), 3, 1));
  CHECK(same(rational_ceil(rational_make(7, 2, &ok), &ok), 4, 1));
  CHECK(same(rational_ceil(rational_make(-7, 2, &ok), &ok), -3, 1));
  CHECK(same(rational_ceil(rational_int(INT64_MAX), &ok), INT64_MAX, 1));
  CHECK(same(rational_round(rational_make(5, 2, &ok), &ok), 3, 1));
  CHECK(same(rational_round(rational_make(-5, 2, &ok), &ok), -3, 1));
  CHECK(same(rational_round(rational_make(7, 5, &ok), &ok), 1, 1));
  CHECK(rational_cmp(rational_make(1, 3, &ok), rational_make(33333333, 100000000, &ok)) == 1);
  CHECK(rational_cmp(rational_int(INT64_MIN), rational_int(INT64_MAX)) == -1);
  CHECK(rational_cmp(rational_make(2, 4, &ok), rational_make(1, 2, &ok)) == 0);
  CHECK(same(rational_int(INT64_MIN), INT64_MIN, 1));
  CHECK(same(rational_add(rational_int(INT64_MIN), rational_int(0), &ok), INT64_MIN, 1));
  CHECK(ok);
  CHECK(same(rational_neg(rational_int(INT64_MIN), &ok), 0, 1) && !ok);
  CHECK(!(ok = true, rational_div(rational_int(1), rational_int(0), &ok), ok));
  CHECK(!(ok = true, rational_make(1, 0, &ok), ok));
  CHECK(!(ok = true, rational_mul(rational_int(INT64_MAX), rational_int(2), &ok), ok));
  CHECK(!(ok = true, rational_make(1, INT64_MIN, &ok), ok));
  ok = true;
  CHECK(rational_to_double(rational_make(1, 3, &ok)) == 1.0 / 3.0);
  CHECK(rational_to_double(rational_int(INT64_MIN)) == -9223372036854775808.0);
  CHECK(rational_to_double(rational_int(INT64_MAX)) == 9223372036854775808.0);
  CHECK(rational_to_double(rational_int((1LL << 53) + 1)) == 9007199254740992.0);
  CHECK(rational_to_double(rational_int((1LL << 53) + 3)) == 9007199254740996.0);
  CHECK(rational_to_double(rational_int(0)) == 0);
  CHECK(rational_to_float(rational_make(1, 1000, &ok)) == 0.001f);
  CHECK(rational_to_float(rational_make(-1, 10, &ok)) == -0.1f);
  /* Half an ulp above 1 and a little more: rounding by way of a double loses the little. */
  CHECK(rational_to_float(rational_make((1LL << 62) + (1LL << 38) + 1, 1LL << 62, &ok)) ==
        1.0f + 0x1p-23f);
  CHECK(ok);

  CHECK(parses("3", 3, 1) && parses("0.25", 1, 4) && parses("1e-3", 1, 1000));
  CHECK(parses("6/7", 6, 7) && parses("-0.5", -1, 2) && parses("+2", 2, 1) &&
        parses("1E3", 1000, 1));
  CHECK(parses("1.000000000000000000000000000000000000000000000000000", 1, 1));
  CHECK(parses("0.000e999999999999999999999", 0, 1) && parses(".5", 1, 2));
  CHECK(parses("9223372036854775807", INT64_MAX, 1) && refused("9223372036854775808"));
  CHECK(parses("-9223372036854775807", -INT64_MAX, 1));
  CHECK(refused("") && refused("-") && refused(".") && refused("1.") && refused("1e"));
  CHECK(refused("1/0") && refused("1/") && refused("/2") && refused("1x") && refused("1 "));
  CHECK(refused("1e99") && refused("1e-99") && refused("1e999999999999999999999999"));
  CHECK(refused("0x10") && refused("inf") && refused("nan") && refused("1.2.3"));
  CHECK(prints(arena, 3, 1, "3") && prints(arena, -3, 1, "-3") && prints(arena, 1, 1000, "0.001"));
  CHECK(prints(arena, -5, 4, "-1.25") && prints(arena, 6, 7, "6/7") &&
        prints(arena, -1, 3, "-1/3"));
  CHECK(prints(arena, 1, 1LL << 40, "1/1099511627776"));
  CHECK(prints(arena, INT64_MIN, 1, "-9223372036854775808"));
}

static void test_arena(Arena *arena) {
  const char *a = intern(arena, "conv");
  CHECK(a == intern_n(arena, "convolution", 4) && a != intern(arena, "con"));
  CHECK(arena_alloc(arena, 0) != arena_alloc(arena, 0));
  char *big = arena_alloc(arena, 10u << 20);
  CHECK(big[0] == 0 && big[(10u << 20) - 1] == 0);
  VEC(int) numbers = {0};
  for (int i = 0; i < 1000; i++) {
    const char *name = arena_printf(arena, "name%d", i);
    CHECK(intern(arena, name) == intern(arena, name));
    VEC_PUSH(arena, numbers, i);
  }
  CHECK(numbers.len == 1000 && numbers.at[0] == 0 && numbers.at[999] == 999);
  CHECK(intern(arena, "conv") == a && arena_used_bytes(arena) > (10u << 20));
}

static bool file_is(const char *path, const char *text) {
  char *data;
  size_t len;
  if (read_file(path, &data, &len))
    return false;
  bool equal = len == strlen(text) && memcmp(data, text, len) == 0;
  free(data);
  return equal;
}

static void test_writer(void) {
  Writer w;
  writer_init(&w);
  write_text(&w, "a {\n");
  w.indent++;
  write_text(&w, "b\n\nc ");
  write_f(&w, "%d\n", 7);
  w.indent--;
  write_text(&w, "}");
  write_quoted(&w, "x\"\\\n\t\x01\xc3\xa9");
  CHECK(strcmp(w.data, "a {\n  b\n\n  c 7\n}\"x\\\"\\\\\\n\\t\\x01\xc3\xa9\"") == 0);
  writer_free(&w);
  for (int i = 0; i < 1000; i++)
    write_f(&w, "%1000d", i);
  CHECK(w.len == 1000000);
  writer_free(&w);

  char text[32];
  format_f32(text, 0.1f), CHECK(strcmp(text, "0.1") == 0);
  format_f32(text, 1.0f), CHECK(strcmp(text, "1") == 0);
  format_f32(text, 1e-5f), CHECK(strcmp(text, "1e-05") == 0);
  format_f32(text, -0.0f), CHECK(strcmp(text, "-0") == 0);
  format_f32(text, INFINITY), CHECK(strcmp(text, "inf") == 0);
  format_f32(text, -INFINITY), CHECK(strcmp(text, "-inf") == 0);
  format_f32(text, NAN), CHECK(strcmp(text, "nan") == 0);
  format_f32(text, 1.17549421e-38f), CHECK(strtof(text, NULL) == 1.17549421e-38f);
}

static void test_files(void) {
  char folder[] = "support-XXXXXX", one[64], two[64], link[64], absent[64];
  bool made = mkdtemp(folder) != NULL;
  CHECK(made);
  if (!made)
    return;
  snprintf(one, sizeof one, "%s/one", folder);
  snprintf(two, sizeof two, "%s/two", folder);
  snprintf(link, sizeof link, "%s/link", folder);
  snprintf(absent, sizeof absent, "%s/no/such", folder);
  struct stat before, after;
  mode_t mask = umask(027);
  CHECK(!write_file(one, "hello", 5) && file_is(one, "hello"));
  CHECK(stat(one, &before) == 0 && (before.st_mode & 0777) == 0640);
  umask(mask);
  CHECK(!write_file(one, "hello", 5) && stat(one, &after) == 0 && after.st_ino == before.st_ino);
  CHECK(!write_file(one, "", 0) && file_is(one, ""));
  CHECK(symlink("one", link) == 0 && !write_file(link, "by link", 7) && file_is(one, "by link"));
  CHECK(lstat(link, &after) == 0 && S_ISLNK(after.st_mode));
  CHECK(!write_file("/dev/null", "x", 1) && stat("/dev/null", &after) == 0 &&
        S_ISCHR(after.st_mode));
  CHECK(write_file(folder, "x", 1) != NULL && write_file(absent, "x", 1) != NULL);
  char *data;
  size_t len;
  CHECK(read_file(absent, &data, &len) != NULL && read_file(folder, &data, &len) != NULL);
  const char *failed = NULL;
  OutputFile bad[] = {{two, "2", 1}, {absent, "x", 1}};
  CHECK(write_files(bad, 2, &failed) != NULL && failed == absent && access(two, F_OK) != 0);
  OutputFile good[] = {{one, "1", 1}, {two, "2", 1}};
  CHECK(!write_files(good, 2, &failed) && file_is(one, "1") && file_is(two, "2"));
  CHECK(unlink(one) == 0 && unlink(two) == 0 && unlink(link) == 0);
  CHECK(rmdir(folder) == 0); /* fails if a temporary was left */
}

/* Half as many megabytes again as a writer keeps, of a pattern that no two pieces share. */
enum { LARGE = 3 << 19 };

static char *large_text(char last) {
  char *text = malloc(LARGE + 1);
  if (!text)
    out_of_memory();
  for (int i = 0; i < LARGE; i++)
    text[i] = (char)('a' + (i * 7 + i / 1000) % 26);
  text[LARGE - 1] = last;
  text[LARGE] = 0;
  return text;
}

/* In small pieces, so that some are handed on and some are not. */
static Outputs *begin_large(const char *path, const char *text) {
  Outputs *outputs = outputs_new();
  Writer *w = outputs_add(outputs, path);
  for (int i = 0; i < LARGE; i += 1024)
    write_bytes(w, text + i, 1024);
  CHECK(w->drained > 0 && w->drained + w->len == LARGE);
  return outputs;
}

static bool replace_large(const char *path, char last) {
  char *text = large_text(last);
  bool ok = !outputs_finish(begin_large(path, text), NULL) && file_is(path, text);
  free(text);
  return ok;
}

/* What the process leaves that began a file and is then ended by a signal, or ends itself (0). */
static bool leaves_nothing(const char *folder, const char *path, int signal_number) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    char *text = large_text('z');
    begin_large(path, text);
    free(text);
    if (signal_number)
      raise(signal_number);
    exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child &&
         (signal_number ? WIFSIGNALED(status) && WTERMSIG(status) == signal_number : WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
         rmdir(folder) == 0 && mkdir(folder, 0700) == 0;
}

static void test_outputs(void) {
  char folder[] = "outputs-XXXXXX", one[64], two[64], absent[64];
  bool made = mkdtemp(folder) != NULL;
  CHECK(made);
  if (!made)
    return;
  snprintf(one, sizeof one, "%s/one", folder);
  snprintf(two, sizeof two, "%s/two", folder);
  snprintf(absent, sizeof absent, "%s/no/such", folder);
  CHECK(leaves_nothing(folder, one, 0) && leaves_nothing(folder, one, SIGINT) && leaves_nothing(folder, one, SIGTERM));
  struct stat before, after;
  CHECK(replace_large(one, 'x') && stat(one, &before) == 0);
  CHECK(replace_large(one, 'x') && stat(one, &after) == 0 && after.st_ino == before.st_ino);
  CHECK(replace_large(one, 'y') && stat(one, &after) == 0 && after.st_ino != before.st_ino);
  char *text = large_text('y');
  CHECK(!write_file(one, text, LARGE - 5) && stat(one, &after) == 0 && after.st_size == LARGE - 5);
  CHECK(replace_large(one, 'y')); /* longer than before, and equal up to there */

  outputs_abandon(begin_large(two, text));
  CHECK(access(two, F_OK) != 0);
  Outputs *outputs = begin_large(two, text);
  Writer *w = outputs_add(outputs, absent);
  write_bytes(w, text, LARGE);
  CHECK(w->dropped);
  const char *failed = NULL;
  CHECK(outputs_finish(outputs, &failed) != NULL && failed == absent && access(two, F_OK) != 0);
  free(text);
  CHECK(unlink(one) == 0 && rmdir(folder) == 0);
}

static void note_context(Diag *diag, void *user) { diag_note(diag, *(const Loc *)user, "in here"); }

/* What `speak` says on standard error. */
static char *captured(void (*speak)(Arena *), Arena *arena) {
  FILE *file = tmpfile();
  fflush(stderr);
  int saved = dup(STDERR_FILENO);
  if (!file || saved < 0 || dup2(fileno(file), STDERR_FILENO) < 0)
    return arena_printf(arena, "no capture");
  speak(arena);
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  rewind(file);
  char *text = arena_alloc(arena, 1 << 16);
  text[fread(text, 1, (1 << 16) - 1, file)] = 0;
  fclose(file);
  return text;
}

static const char source_text[] = "first\n\tx -> \xc3\xa9\x01 convv(3x3)\nlast {\n}\n";
static const Source source = {"net.mn", source_text, sizeof source_text - 1};

static Loc find(const char *begin, uint32_t len) {
  uint32_t at = (uint32_t)(strstr(source_text, begin) - source_text);
  return (Loc){&source, at, at + len};
}

static void speak_text(Arena *arena) {
  Diag diag;
  diag_init(&diag, arena);
  diag_error(&diag, find("convv", 5), "unknown operator or block '%s'", "convv");
  diag_note(&diag, find("last", 100), "over the line");
  diag_warning(&diag, "kind", (Loc){&source, source.len, source.len}, "at the end");
  diag_error(&diag, (Loc){0}, "no place");
  Loc place = find("first", 1);
  diag.werror = true;
  diag.context = note_context;
  diag.context_user = &place;
  diag_warning(&diag, NULL, find("x ->", 1), "promoted");
  CHECK(diag.errors == 3 && diag.warnings == 2);
}

static void speak_json(Arena *arena) {
  Diag diag;
  diag_init(&diag, arena);
  diag.json = true;
  diag_error(&diag, find("convv", 5), "a \"b\" \xff\n");
  diag_note(&diag, (Loc){0}, "n");
}

static void speak_limit(Arena *arena) {
  Diag diag;
  diag_init(&diag, arena);
  diag.error_limit = 2;
  for (int i = 0; i < 5; i++) {
    diag_error(&diag, (Loc){0}, "e%d", i);
    diag_note(&diag, (Loc){0}, "n%d", i);
  }
  CHECK(diag.errors == 5);
}

static void test_diag(Arena *arena) {
  CHECK(strcmp(captured(speak_text, arena),
               "net.mn:2:11: error: unknown operator or block 'convv'\n"
               "\tx -> \xc3\xa9? convv(3x3)\n"
               "\t        ^~~~~\n"
               "net.mn:3:1: note: over the line\n"
               "last {\n"
               "^~~~~~\n"
               "net.mn:5:1: warning: at the end [-Wkind]\n"
               "mncc: error: no place\n"
               "net.mn:2:2: error: promoted [-Werror]\n"
               "\tx -> \xc3\xa9? convv(3x3)\n"
               "\t^\n"
               "net.mn:1:1: note: in here\n"
               "first\n"
               "^\n") == 0);
  CHECK(strcmp(captured(speak_json, arena),
               "{\"severity\":\"error\",\"file\":\"net.mn\",\"line\":2,\"column\":11,"
               "\"end_column\":16,\"message\":\"a \\\"b\\\" \\ufffd\\u000a\"}\n"
               "{\"severity\":\"note\",\"message\":\"n\"}\n") == 0);
  CHECK(strcmp(captured(speak_limit, arena),
               "mncc: error: e0\nmncc: note: n0\nmncc: error: e1\nmncc: note: n1\n"
               "mncc: note: too many errors; only the first 2 are shown\n") == 0);

  static const char *const words[] = {"network", "fn", "block", "conv", "relu6", "relu"};
  CHECK(nearest_word("netwrok", words, 6) == words[0]);
  CHECK(nearest_word("convv", words, 6) == words[3]);
  CHECK(nearest_word("relu", words, 6) == words[5] && nearest_word("relu7", words, 6) == words[4]);
  CHECK(nearest_word("softmax", words, 6) == NULL && nearest_word("x", words, 6) == NULL);
  CHECK(nearest_word("", words, 6) == NULL && nearest_word("conv", words, 0) == NULL);
}

int main(void) {
  Arena *arena = arena_new();
  test_rational(arena);
  test_arena(arena);
  test_writer();
  test_files();
  test_outputs();
  test_diag(arena);
  arena_free(arena);
  return failures ? 1 : 0;
}
