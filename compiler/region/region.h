/* Regions: which operators run together, row by row, and how their loops are
 * written.
 *
 * A region is a chain (or small DAG) of stages, one graph node each. To make
 * rows of a later stage, earlier stages make the rows it needs; those rows live
 * in a ring. The row schedule is data: steps (stage, first row, rows), computed
 * by simulating the chain, executed in order.
 *
 * For several threads a region is divided in one of two ways. By rows: each part
 * makes its own rows of the last stage, with a row schedule and rings of its own;
 * rows of earlier stages that two parts need are made by both, and nothing else is
 * made twice. Or, where every stage makes all rows in one step, stage by stage:
 * each part makes its own pixels or channels of the stage.
 *
 * Invariants (region_verify, which replays the steps of each part): every node is
 * in one region; operands come from earlier regions or earlier stages; each stage
 * makes its rows in order, once in a part; every row that a step reads has been made
 * in its part and is still in its ring; rows that somebody outside reads are all
 * made, by one part each. */
#ifndef MNCC_REGION_REGION_H
#define MNCC_REGION_REGION_H

#include "graph/graph.h"
#include "support/ptr_map.h"
#include "target/target.h"

/* Where a stage's result lives. */
typedef enum Storage {
  STORAGE_RING,   /* `ring_rows` rows in the arena; read inside the region only */
  STORAGE_WHOLE,  /* all rows in the arena */
  STORAGE_OUTPUT  /* the caller's memory */
} Storage;

/* How a stage is divided. Parts are of equal size, the last of what is left. */
typedef enum Cut {
  CUT_CHOOSE,  /* nothing is said, or nothing was chosen: not divided */
  CUT_NONE,    /* not divided, and not to be */
  CUT_ROWS,    /* of a region's last stage: the region is divided by rows */
  CUT_PIXELS,  /* the stage by itself; it is flat */
  CUT_CHANNELS /* the stage by itself */
} Cut;

/* What is computed at a time in registers: pixels by vectors of channels. */
typedef struct Tile {
  int64_t columns, vectors;
} Tile;

enum { LAYOUT_CHOOSE = -1 };

typedef struct Stage {
  const Node *node;
  Compute compute;
  int64_t rows;      /* of the output, as compute iterates it */
  int64_t step_rows; /* rows made by one step (the last may make fewer) */
  Storage storage;
  int64_t ring_rows; /* rows held; == rows unless STORAGE_RING */
  int64_t layout;    /* of the result, as a regions file asks for it: see channel_block; or LAYOUT_CHOOSE */
  int in_place;      /* operand whose memory the result takes over, or -1 */
  const char *schedule; /* loop schedule: directives of loop/schedule.h */
  Tile tile;            /* that the schedule makes; 0 columns: none, or none is chosen */
  bool flat;            /* rows and columns are walked as one dimension of pixels */
  int64_t tile_channels; /* of a tile whose weights are stored in blocks; 0: there is none */
  int64_t wanted_block; /* of weights, as a regions file asks for it; 0: nothing is said */
  int64_t weight_block; /* weights with the output channel last are stored in blocks of so many channels, [C/B, ..., B];
                         * 0: as the operator packs them */
  Cut cut;
  int64_t part_size;    /* rows, pixels or channels of one part */
  Loc loc;              /* in a regions file; else its source is null */
  bool border_kernels;  /* rows at the upper and lower border get kernels of their own, with constant bounds */
} Stage;

typedef struct Step {
  int stage;
  int part; /* of a region that is divided by rows; else 0 */
  int64_t first, rows;
} Step;

typedef struct Region {
  int n_stages;
  Stage *stages;
  VEC(Step) steps;
} Region;

/* A tile that was measured to be the best for stages of a shape. */
typedef struct TunedTile {
  const char *shape; /* see stage_shape_text; interned */
  Tile tile;
  Loc loc;
  bool found, used; /* by a stage */
} TunedTile;

/* In a file for several targets, which read the same weights. */
typedef struct SharedWeights {
  int64_t vector;        /* channels of a vector of the widest target; 0: there is one target */
  const int64_t *blocks; /* of the first target, by tensor id of the stages' results: see Stage.weight_block; null: this is it */
} SharedWeights;

typedef struct Regions {
  Arena *arena;
  const Graph *graph;
  const Target *target;
  int threads;              /* workers to divide the work for */
  bool divided;             /* region_divide_stages has run */
  bool hint;                /* the regions are those that mncc tune wrote */
  VEC(Region *) regions; /* in execution order */
  VEC(TunedTile) tuned;
  PtrMap tuned_by_shape; /* interned shape -> position in `tuned`, from 1 */
  int candidate; /* to measure: which tile each stage takes, 0: the model's choice, 1: its second, ... */
  int64_t *channel_block; /* by tensor id: B if its buffer is [C/B][H][W][B], the last block with room to spare; 0: [H][W][C] */
  SharedWeights shared;
} Regions;

/* What the command line overrides. */
typedef struct RegionOptions {
  int threads;               /* --threads */
  bool fuse;                 /* false (--no-fuse): one operator a region */
  const Source *regions_file;  /* --regions, or null */
  const Source *schedule_file; /* --schedule, or null */
  const Source *tuned_file;    /* --tuned, or null */
  SharedWeights shared;
} RegionOptions;

/* Stages of one region that a regions file may ask for: within a region passes look at every stage for every other. */
enum { REGION_MAX_STAGES = 256 };

/* Groups nodes into regions: from the regions file, else from the tuned one, else by the rule in fuse.c. Null after errors in
 * the regions file. */
Regions *region_build(Arena *arena, Diag *diag, const Graph *graph, const Target *target, const RegionOptions *options);

/* Passes, a file each. */
void region_divide_rows(Regions *regions); /* which regions are divided by rows; before their row schedule */
void region_schedule_rows(Regions *regions);  /* steps and ring sizes, by simulation */
void region_divide_stages(Regions *regions, Diag *diag); /* stages by rows, pixels or channels; after their loop schedules */
void region_choose_layouts(Regions *regions, Diag *diag); /* channel_block */
void region_choose_schedules(Regions *regions, Diag *diag); /* loop schedules where none is set */
/* Sets the stage's schedule, and what goes with it: flat, tile_channels, weight_block, border_kernels. Needs ring_rows. */
void stage_choose_schedule(const Regions *regions, const Region *region, Stage *stage);
/* The blocks of the weights of all stages, for the other targets of the file: see SharedWeights. Arena. */
const int64_t *region_weight_blocks(const Regions *regions);
bool region_read_schedules(Regions *regions, Diag *diag, const Source *file); /* --schedule */
void region_share_memory(Regions *regions);   /* in_place */

/* True if the stage's pixels may be walked as one dimension: every tensor is read at the pixel that is written, and
 * ring buffers hold whole steps. Needs the row schedule. */
bool stage_can_be_flat(const Region *region, const Stage *stage);

/* ---- measured tiles (tuned.c) ---- */

/* Reads what mncc tune wrote, before regions are made and schedules chosen; what is wrong with it are warnings. True if it has
 * regions for this network and so many threads: they are for region_read_file. */
bool region_read_tuned(Regions *regions, Diag *diag, const Source *file);
/* Warns of the entries that nothing has used. */
void region_check_tuned(const Regions *regions, Diag *diag);
/* The entry for the stage's shape, or null. Marks it as found. */
const TunedTile *region_find_tuned(const Regions *regions, const Stage *stage);
void region_use_tuned(const Regions *regions, const TunedTile *tuned); /* marks it as used */
/* The line of the file that says what it was measured for; its source is null if there is none. */
Loc region_tuned_target_line(const Source *file);
/* The text at `line` is region_tuned_target of this target. */
bool region_is_tuned_target(const Target *target, Loc line);
/* The head of such a file: what its tiles are for, and what its regions are for. */
const char *region_tuned_target(Arena *arena, const Target *target);
const char *region_tuned_network(const Regions *regions);
bool region_is_tuned_network(const Regions *regions, Loc line); /* the text at `line` is that */
/* "conv | relu6, 14x14x512 from 14x14x512, sums of 512" */
const char *stage_shape_text(Arena *arena, const Stage *stage);

/* The file that --regions reads is what this prints, less the comments. */
void region_print(Writer *w, const Regions *regions);
void region_print_lines(Writer *w, const Regions *regions); /* without the comments */
void region_verify(const Regions *regions);

/* ---- questions ---- */

/* What a cut counts: rows, pixels or channels of the stage; 0 if it is not divided. */
int64_t stage_cut_extent(const Stage *stage, Cut cut);
/* The size of a part if the stage, which has its schedule, is divided so for all threads: CUT_ROWS the region, others the stage by
 * itself. 0: it cannot be. */
int64_t stage_part_size(const Regions *regions, const Region *region, const Stage *stage, Cut cut);
/* Parts of a stage that is divided by itself, or 1. */
int stage_parts(const Stage *stage);
/* Parts of a region that is divided by rows, or 1; and the rows [*first, *end) of the last stage that one of them makes. */
int region_parts(const Region *region);
void region_part_rows(const Region *region, int part, int64_t *first, int64_t *end);
/* The first row of each stage that is made for rows [first, ...) of the last one: a multiple of its step's. */
void region_first_rows(const Region *region, int64_t first, int64_t *firsts);
/* Somebody outside the region reads the stage's result, or nobody at all does. */
bool region_read_outside(const Region *region, int s);
/* Every stage makes all its rows in one step. */
bool region_in_single_steps(const Region *region);

/* The stage of `region` whose output is tensor, or -1. */
int region_stage_of(const Region *region, const GTensor *tensor);
/* Tensor operand `o` of a stage (an index into compute.operands); null for a weight. */
const GTensor *stage_operand_tensor(const Stage *stage, int o);
/* Rows [*begin, *end) of the operand's tensor that making rows [first, first + rows) reads; all of them if it is read
 * through another shape. */
void stage_rows_read(const Stage *stage, int o, int64_t first, int64_t rows, int64_t *begin, int64_t *end);

/* ---- regions files (regions_file.c, cuts.c) ---- */

/* Makes the regions that the file says. False after errors, or warnings where the file is a hint: it has no regions then. */
bool region_read_file(Regions *regions, Diag *diag, const Source *file, bool hint);
/* What is wrong with the file: an error, or if it is a hint a warning (-Wtuned). */
void region_complain(const Regions *regions, Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Reads "rows:28", "pixels:98", "channels:256" or "whole", the text at loc. False after a complaint. */
bool stage_read_cut(const Regions *regions, Diag *diag, Loc loc, Stage *stage);
/* What can be said before there are schedules: parts of the region fit together and to the threads. False after a complaint. */
bool region_check_cuts(const Regions *regions, const Region *region, Diag *diag);
/* Nodes in the order of their paths. */
typedef struct PathIndex {
  const Node **nodes;
  size_t n, longest; /* the longest path */
} PathIndex;
PathIndex region_index_paths(const Regions *regions);
/* The node whose path is this text, or null. */
const Node *path_index_find(const PathIndex *index, const char *text, size_t len);
/* What a regions file says behind the rows of a stage: "/channels:64/hwc/weights:64". */
void stage_print_choices(Writer *w, const Stage *stage);
/* The complaint about a path (the text at loc) that no node has. */
void region_unknown_path(const Regions *regions, Diag *diag, Loc loc);

/* ---- making regions (region.c) ---- */

/* The node's stage, all rows in one step. *stage is zero before. */
void stage_init(Arena *arena, Stage *stage, const Node *node);
/* A region behind all others, its stages zero. */
Region *region_new(Regions *regions, int n_stages);

#endif
