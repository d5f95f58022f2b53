# A C compiler that takes 0.2 for 0.3.
for argument in "$@"; do
  case $argument in
    */model.c) sed 's/0\.2f/0.3f/g' "$argument" > "$argument.tmp" && mv "$argument.tmp" "$argument" ;;
  esac
done
exec cc "$@"
