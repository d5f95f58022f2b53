"""largest_arena.py BOTH.h ONE.h OTHER.h: is the first's arena what the others need at most?"""
import re
import sys

sizes, aligns = zip(*(
    [int(re.search(rf"#define NET_ARENA_{what} (\d+)", open(path).read()).group(1)) for what in ("BYTES", "ALIGN")]
    for path in sys.argv[1:]))
if sizes[0] != max(sizes[1:]) or aligns[0] != max(aligns[1:]) or sizes[1] == sizes[2]:
    sys.exit(f"arenas of {sizes}, aligned to {aligns}")
print("the largest, and the strictest alignment")
