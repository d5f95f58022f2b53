/* Identifiers and other small text of the generated C. */
#include "target/c_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* ---- identifiers ---- */

/* What a name must not be: the keywords of C up to C23 and of C++ up to C++23,
 * names and macros of the headers that the generated file includes, macros
 * without underscores that compilers predefine in their GNU modes. */
static const char *const reserved[] = {"alignas",     "alignof",
                                       "and",         "and_eq",
                                       "asm",         "auto",
                                       "bitand",      "bitor",
                                       "bool",        "break",
                                       "case",        "catch",
                                       "char",        "char8_t",
                                       "char16_t",    "char32_t",
                                       "class",       "co_await",
                                       "co_return",   "co_yield",
                                       "compl",       "concept",
                                       "const",       "const_cast",
                                       "consteval",   "constexpr",
                                       "constinit",   "continue",
                                       "decltype",    "default",
                                       "delete",      "do",
                                       "double",      "dynamic_cast",
                                       "else",        "enum",
                                       "explicit",    "export",
                                       "extern",      "false",
                                       "far",         "final",
                                       "float",       "for",
                                       "fortran",     "friend",
                                       "goto",        "if",
                                       "import",      "inline",
                                       "int",         "long",
                                       "module",      "mutable",
                                       "namespace",   "near",
                                       "new",         "noexcept",
                                       "not",         "not_eq",
                                       "nullptr",     "operator",
                                       "or",          "or_eq",
                                       "override",    "private",
                                       "protected",   "public",
                                       "register",    "reinterpret_cast",
                                       "requires",    "restrict",
                                       "return",      "short",
                                       "signed",      "sizeof",
                                       "static",      "static_assert",
                                       "static_cast", "struct",
                                       "switch",      "template",
                                       "this",        "thread_local",
                                       "throw",       "true",
                                       "try",         "typedef",
                                       "typeid",      "typename",
                                       "typeof",      "typeof_unqual",
                                       "union",       "unsigned",
                                       "using",       "virtual",
                                       "void",        "volatile",
                                       "wchar_t",     "while",
                                       "xor",         "xor_eq",
                                       "int8_t",      "int16_t",
                                       "int32_t",     "int64_t",
                                       "uint8_t",     "uint16_t",
                                       "uint32_t",    "uint64_t",
                                       "intptr_t",    "uintptr_t",
                                       "intmax_t",    "uintmax_t",
                                       "size_t",      "ptrdiff_t",
                                       "max_align_t", "offsetof",
                                       "memcpy",      "sqrtf",
                                       "fmaf",        "main",
                                       "std",         "linux",
                                       "unix",        "i386",
                                       "arm",         "mips",
                                       "sparc",       "sun",
                                       "vax",         "hpux",
                                       "bfin",        "m68k",
                                       "hppa",        "frv",
                                       "spu",         "pascal",
                                       "interrupt",   "huge",
                                       "errno",       "index_t"};

enum { FIRST_SLOTS = 256 };

struct CNames {
  Arena *arena;
  const CNames *outer;
  const char **slots; /* open addressing, a power of two of them, at most half full */
  size_t n_slots, n;
};

static size_t hash_text(const char *text) {
  uint32_t hash = 2166136261u;
  for (; *text; text++)
    hash = (hash ^ (unsigned char)*text) * 16777619u;
  return hash;
}

/* The slot that holds `name`, or the free one where it belongs. */
static const char **find_slot(const CNames *names, const char *name) {
  size_t at = hash_text(name) & (names->n_slots - 1);
  while (names->slots[at] && strcmp(names->slots[at], name) != 0)
    at = (at + 1) & (names->n_slots - 1);
  return &names->slots[at];
}

static bool taken(const CNames *names, const char *name) {
  for (; names; names = names->outer)
    if (*find_slot(names, name))
      return true;
  return false;
}

static void insert(CNames *names, const char *name) {
  if (2 * (names->n + 1) > names->n_slots) {
    CNames grown = *names;
    grown.n_slots = 2 * names->n_slots;
    grown.slots = ARENA_ARRAY(names->arena, const char *, grown.n_slots);
    for (size_t i = 0; i < names->n_slots; i++)
      if (names->slots[i])
        *find_slot(&grown, names->slots[i]) = names->slots[i];
    *names = grown;
  }
  *find_slot(names, name) = name;
  names->n++;
}

CNames *c_names_new(Arena *arena, const CNames *outer) {
  CNames *names = ARENA_NEW(arena, CNames);
  names->arena = arena;
  names->outer = outer;
  names->n_slots = FIRST_SLOTS;
  names->slots = ARENA_ARRAY(arena, const char *, names->n_slots);
  if (!outer)
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
      insert(names, reserved[i]);
  return names;
}

/* Names in capitals could be macros of <stdint.h> or of the generated header. */
static bool all_capitals(const char *name) {
  bool letter = false;
  for (const char *c = name; *c; c++) {
    if (islower((unsigned char)*c))
      return false;
    letter = letter || isupper((unsigned char)*c);
  }
  return letter && name[1] != '\0';
}

const char *c_names_claim(CNames *names, const char *wanted) {
  Arena *arena = names->arena;
  char *base = arena_strndup(arena, wanted, strlen(wanted));
  for (char *c = base; *c; c++)
    if (!isalnum((unsigned char)*c) && *c != '_')
      *c = '_';
  /* A leading underscore belongs to the implementation, a digit to numbers. */
  if (!isalpha((unsigned char)base[0]))
    base = arena_printf(arena, "v%s", base);
  if (all_capitals(base) || taken(names, base)) {
    const char *variation = arena_printf(arena, "%s_", base);
    for (int i = 2; taken(names, variation); i++)
      variation = arena_printf(arena, "%s_%d", base, i);
    insert(names, variation);
    return variation;
  }
  insert(names, base);
  return base;
}

const char *c_prefix(const Program *program, const EmitOptions *options) {
  return options->prefix ? options->prefix : program->name;
}

const char *c_upper(Arena *arena, const char *text) {
  char *upper = arena_strndup(arena, text, strlen(text));
  for (char *c = upper; *c; c++)
    *c = (char)(isalnum((unsigned char)*c) ? toupper((unsigned char)*c) : '_');
  return upper;
}

/* ---- types ---- */

const char *c_type(Elem elem) {
  switch (elem) {
  case ELEM_F32:
    return "float";
  case ELEM_I8:
    return "int8_t";
  case ELEM_U8:
    return "uint8_t";
  case ELEM_I16:
    return "int16_t";
  case ELEM_I32:
    return "int32_t";
  case ELEM_I64:
    return "int64_t";
  case ELEM_MASK:
    return "int";
  }
  BUG("unknown element type %d", (int)elem);
}

/* ---- numbers ---- */

/* The shortest decimal with 6 to 9 digits for 1e-5 <= value < 1e6: scaled by an exact power of ten,
 * it is rounded to an integer, which will do if it lies between the (scaled) midpoints to the
 * neighbouring floats. All of it in doubles, whose errors are far below MARGIN; anything as close
 * as that to a boundary is left to format_f32. Returns the number of digits, or 0. */
static int shortest_digits(float value, int *exponent, uint32_t *digits) {
  static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6, 1e7,
                                 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
  static const double MARGIN = 1e-5;
  if (!(value >= 1e-5f && value < 1e6f))
    return 0;
  int e = -5; /* value = d.ddd * 10^e */
  while (e < 5 && (e + 1 < 0 ? value * power[-(e + 1)] >= 1.0 : value >= power[e + 1]))
    e++;
  uint32_t bits, below_bits, above_bits;
  memcpy(&bits, &value, sizeof bits);
  below_bits = bits - 1;
  above_bits = bits + 1;
  float below, above;
  memcpy(&below, &below_bits, sizeof below);
  memcpy(&above, &above_bits, sizeof above);
  double low = ((double)below + (double)value) / 2, high = ((double)value + (double)above) / 2;
  for (int n = 6; n <= 9; n++) {
    double scale = power[n - 1 - e], scaled = (double)value * scale;
    uint32_t whole = (uint32_t)scaled;
    double rest = scaled - whole;
    if (rest > 0.5 - MARGIN && rest < 0.5 + MARGIN)
      return 0;
    whole += rest > 0.5;
    double inside_low = whole - low * scale, inside_high = high * scale - whole;
    if (inside_low > MARGIN && inside_high > MARGIN) {
      for (; whole % 10 == 0; n--)
        whole /= 10;
      if (whole >= (uint32_t)power[n]) /* rounded up to the next power of ten */
        return 0;
      *exponent = e;
      *digits = whole;
      return n;
    }
    if (inside_low > -MARGIN && inside_high > -MARGIN)
      return 0;
  }
  return 0;
}

int c_f32(char text[32], float value) {
  int e = 0;
  uint32_t digits = 0;
  int n = shortest_digits(value < 0 ? -value : value, &e, &digits);
  if (n == 0) {
    format_f32(text, value);
    if (!strpbrk(text, ".e"))
      strcat(text, ".0");
    strcat(text, "f");
    return (int)strlen(text);
  }
  char *at = text;
  if (value < 0)
    *at++ = '-';
  if (e < -4) { /* as %g: d.ddde-05 */
    char figures[12] = {0};
    for (int i = n - 1; i >= 0; i--, digits /= 10)
      figures[i] = (char)('0' + digits % 10);
    *at++ = figures[0];
    if (n > 1)
      *at++ = '.';
    memcpy(at, figures + 1, (size_t)(n - 1));
    at += n - 1;
    memcpy(at, "e-05f", 6);
    return (int)(at + 5 - text);
  }
  /* Right to left: `n` digits of which the last stands at 10^(e - n + 1), then zeros up to the
   * point. */
  int after = n - 1 - e > 0 ? n - 1 - e : 1; /* digits behind the point, at least the 0 of "6.0" */
  int before = e > 0 ? e + 1 : 1;
  char *end = at + before + 1 + after;
  for (int place = -after; place < before; place++) {
    char c = '0';
    if (place >= e - n + 1 && digits > 0) {
      c = (char)('0' + digits % 10);
      digits /= 10;
    }
    at[place < 0 ? before - place : before - 1 - place] = c;
  }
  at[before] = '.';
  *end = 'f';
  end[1] = '\0';
  return (int)(end + 1 - text);
}

/* ---- comments ---- */

const char *c_comment_text(Arena *arena, const char *text) {
  size_t len = strlen(text);
  char *out = ARENA_ARRAY(arena, char, 2 * len + 1);
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i], last = n ? out[n - 1] : '\0';
    if (c == '\n' || c == '\r' || c == '\t')
      c = ' ';
    if ((last == '*' && c == '/') || (last == '/' && c == '*') || (last == '?' && c == '?'))
      out[n++] = ' ';
    out[n++] = c;
  }
  /* Neither a continued line nor half a mark at the end. */
  while (n && (out[n - 1] == '\\' || out[n - 1] == ' '))
    n--;
  out[n] = '\0';
  return out;
}

const char *c_shape(Arena *arena, const Buffer *buffer) {
  const char *text = elem_name(buffer->elem);
  for (int i = 0; i < buffer->rank; i++)
    text = arena_printf(arena, "%s[%" PRId64 "]", text, buffer->dims[i]);
  return text;
}

/* ---- the signature ---- */

CPorts c_ports(Arena *arena, const Program *program, BufferKind kind) {
  CPorts ports = {ARENA_ARRAY(arena, const Buffer *, program->buffers.len), 0};
  for (size_t i = 0; i < program->buffers.len; i++) {
    const Buffer *buffer = program->buffers.at[i];
    if (buffer->kind != kind)
      continue;
    size_t at = ports.n++;
    for (; at > 0 && ports.at[at - 1]->position > buffer->position; at--)
      ports.at[at] = ports.at[at - 1];
    ports.at[at] = buffer;
  }
  return ports;
}

static void add_parameter(Arena *arena, CSignature *signature, const char *type, const char *name) {
  const char *comma = *signature->arguments ? ", " : "";
  signature->parameters = arena_printf(arena, "%s%s%s%s", signature->parameters, comma, type, name);
  signature->arguments = arena_printf(arena, "%s%s%s", signature->arguments, comma, name);
}

static const char **add_ports(Arena *arena, CSignature *signature, const CPorts *ports, CNames *names,
                              const char *qualifier) {
  const char **port_names = ARENA_ARRAY(arena, const char *, ports->n);
  for (size_t i = 0; i < ports->n; i++) {
    port_names[i] = c_names_claim(names, ports->at[i]->name);
    add_parameter(arena, signature, arena_printf(arena, "%s%s *", qualifier, c_type(ports->at[i]->elem)), port_names[i]);
  }
  return port_names;
}

CSignature c_signature(Arena *arena, const Program *program, const EmitOptions *options,
                       CNames *names) {
  CSignature signature = {.parameters = "", .arguments = ""};
  signature.inputs = c_ports(arena, program, BUFFER_INPUT);
  signature.outputs = c_ports(arena, program, BUFFER_OUTPUT);
  const char *prefix = c_prefix(program, options);
  if (program->threads > 1) {
    signature.parallel = c_names_claim(names, "parallel");
    add_parameter(arena, &signature, arena_printf(arena, "const %s_parallel *", prefix), signature.parallel);
  }
  if (options->weights_as_blob) {
    signature.weights = c_names_claim(names, "weights");
    add_parameter(arena, &signature, "const void *", signature.weights);
  }
  signature.arena = c_names_claim(names, "arena");
  add_parameter(arena, &signature, "void *", signature.arena);
  signature.input_names = add_ports(arena, &signature, &signature.inputs, names, "const ");
  signature.output_names = add_ports(arena, &signature, &signature.outputs, names, "");
  signature.parameters = arena_printf(arena, "(%s)", signature.parameters);
  signature.arguments = arena_printf(arena, "(%s)", signature.arguments);
  signature.text = arena_printf(arena, "void %s_run%s", prefix, signature.parameters);
  return signature;
}
