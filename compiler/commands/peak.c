/* Sums s[i] = s[i] * a + b in registers. A core that starts two multiply-adds a
 * cycle of a latency of four needs eight sums at least; more than there are
 * registers would be spilled; and vectors of the full width are not always the
 * fastest. So several shapes are tried. */
#include "commands/peak.h"

#include <stdlib.h>

#include "commands/times.h"

#if MNCC_HAVE_LLVM

typedef struct LoopShape {
  int sums, lanes;
} LoopShape;

struct Peak {
  Jit *jit;
  int threads;
  double operations; /* of one run of all threads */
  float *in, *out;
  size_t floats; /* of each thread's output */
  const char *text;
};

enum { STEPS = 40000, MAX_SUMS = 24 };

/* "f32x8", or "f32" */
static const char *type_text(Arena *arena, int lanes) { return lanes > 1 ? arena_printf(arena, "f32x%d", lanes) : "f32"; }

static const char *access(Arena *arena, const char *buffer, int at, int lanes) {
  return lanes > 1 ? arena_printf(arena, "%s[%d]:%d", buffer, at, lanes) : arena_printf(arena, "%s[%d]", buffer, at);
}

/* The kernel once, or once on each thread, with an output of its own. */
static void write_entry(Writer *w, int threads) {
  write_text(w, threads > 1 ? "entry { parallel {\n" : "entry {\n");
  for (int i = 0; i < threads; i++)
    write_f(w, threads > 1 ? "branch { call peak(x, y%d) }\n" : "call peak(x, y%d)\n", i);
  write_text(w, threads > 1 ? "} }\n" : "}\n");
}

/* The program as loop text. */
static void write_program(Writer *w, Arena *arena, LoopShape shape, bool fma, int threads) {
  int lanes = shape.lanes, n = shape.sums * lanes;
  const char *type = type_text(arena, lanes);
  write_text(w, "program peak\n");
  if (threads > 1)
    write_f(w, "threads %d\n", threads);
  write_f(w, "buffer x: f32[%d] input\n", n + 2 * lanes);
  for (int i = 0; i < threads; i++)
    write_f(w, "buffer y%d: f32[%d] output\n", i, n);
  write_f(w, "kernel peak(in x: f32[%d] noalias, out y: f32[%d] noalias) {\n", n + 2 * lanes, n);
  write_f(w, "let a: %s = %s\nlet b: %s = %s\n", type, access(arena, "x", n, lanes), type, access(arena, "x", n + lanes, lanes));
  for (int i = 0; i < shape.sums; i++)
    write_f(w, "var s%d: %s = %s\n", i, type, access(arena, "x", i * lanes, lanes));
  write_f(w, "for step in 0..%d {\n", (int)STEPS);
  for (int i = 0; i < shape.sums; i++)
    write_f(w, fma ? "set s%d = fma(s%d, a, b)\n" : "set s%d = s%d * a + b\n", i, i);
  write_text(w, "}\n");
  for (int i = 0; i < shape.sums; i++)
    write_f(w, "%s = s%d\n", access(arena, "y", i * lanes, lanes), i);
  write_text(w, "}\n");
  write_entry(w, threads);
}

void peak_free(Peak *peak) {
  if (!peak)
    return;
  jit_free(peak->jit);
  free(peak->in);
  free(peak->out);
  free(peak);
}

static Peak *compile(Session *session, LoopShape shape) {
  const Target *target = session->compilation.target;
  int threads = session->compilation.options->threads;
  Writer w;
  writer_init(&w);
  write_program(&w, session->arena, shape, target->fma, threads);
  Source *source = ARENA_NEW(session->arena, Source);
  *source = (Source){"<peak>", arena_strndup(session->arena, w.data, w.len), (uint32_t)w.len};
  writer_free(&w);
  Program *program = loop_read(session->arena, &session->diag, source);
  if (!program)
    return NULL;
  EmitOptions emit = session->emit;
  emit.prefix = "peak";
  emit.profile = false;
  emit.optimize = emit.optimize > 1 ? emit.optimize : 2;
  Peak *peak = calloc(1, sizeof *peak);
  if (!peak)
    out_of_memory();
  size_t n = (size_t)(shape.sums * shape.lanes), wide = (size_t)shape.lanes;
  peak->in = calloc(n + 2 * wide, sizeof *peak->in);
  peak->threads = threads;
  peak->out = calloc(n * (size_t)threads, sizeof *peak->out);
  peak->jit = jit_new(program, target, &emit, &session->diag);
  if (!peak->in || !peak->out)
    out_of_memory();
  for (size_t i = 0; i < n; i++)
    peak->in[i] = (float)i;
  for (size_t i = 0; i < wide; i++) { /* the sums approach 2 */
    peak->in[n + i] = 0.5f;
    peak->in[n + wide + i] = 1;
  }
  peak->operations = 2.0 * (double)STEPS * (double)n * threads;
  peak->floats = n;
  peak->text = arena_printf(session->arena, "%s, %d lane%s", target->fma ? "fma" : "multiply and add", shape.lanes,
                            shape.lanes > 1 ? "s" : "");
  if (peak->jit)
    return peak;
  peak_free(peak);
  return NULL;
}

double peak_measure(Peak *peak) {
  const void *in[1] = {peak->in};
  void *out[LOOP_MAX_THREADS];
  for (int i = 0; i < peak->threads; i++)
    out[i] = peak->out + (size_t)i * peak->floats;
  double start = run_seconds(peak->threads);
  jit_run(peak->jit, in, out);
  return peak->operations / (run_seconds(peak->threads) - start);
}

/* The best of a few runs. */
static double best_of(Peak *peak) {
  double best = 0;
  for (int i = 0; i < 5; i++) {
    double speed = peak_measure(peak);
    best = speed > best ? speed : best;
  }
  return best;
}

Peak *peak_new(Session *session) {
  const Target *target = session->compilation.target;
  static const int sums[] = {8, 12, 16, MAX_SUMS};
  Peak *best = NULL;
  double best_speed = 0;
  int full = target->vector_bytes / (int)sizeof(float);
  for (int lanes = full; lanes >= 1 && 2 * lanes >= full; lanes /= 2)
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
      if (sums[i] + 2 > target->vector_registers && i > 0)
        continue;
      Peak *peak = compile(session, (LoopShape){sums[i], lanes});
      if (!peak) {
        peak_free(best);
        return NULL;
      }
      double speed = best_of(peak);
      if (speed > best_speed) {
        Peak *worse = best;
        best = peak;
        best_speed = speed;
        peak = worse;
      }
      peak_free(peak);
    }
  return best;
}

const char *peak_text(const Peak *peak) { return peak->text; }

#endif
