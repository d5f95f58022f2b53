/* Included before anything else: what a firmware may put into the hooks. */
extern int one_begun, one_ended;
#define ONE_PROFILE_BEGIN(i) ((void)(i), (void)one_begun++)
#define ONE_PROFILE_END(i) ((void)(i), (void)one_ended++)
#define ONE_SECTION_WEIGHTS __attribute__((section("model_weights")))
#define ONE_SECTION_CODE __attribute__((section("model_code")))
#define ONE_SECTION_ARENA __attribute__((section("model_arena")))
