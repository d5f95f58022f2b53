# limited.sh BLOCKS COMMAND ...: no file may be larger than so many blocks of 512 bytes; writing on is an error, status 3.
blocks=$1
shift
trap '' XFSZ
ulimit -f "$blocks"
"$@"
status=$?
[ $status -eq 3 ] || { echo "limited.sh: exit status $status, not 3: $*" >&2; exit 1; }
