# none.sh MNCC NET FILE ...: runs the network on one file after the other; none may succeed.
mncc=$1 net=$2
shift 2
for file in "$@"; do
  "$mncc" run --evaluate "$net" "$file" && exit 1
done
exit 0
