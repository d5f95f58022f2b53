# status.sh N COMMAND ...: the command ends with exit status N.
wanted=$1
shift
"$@"
status=$?
[ $status -eq "$wanted" ] || { echo "status.sh: exit status $status, not $wanted: $*" >&2; exit 1; }
