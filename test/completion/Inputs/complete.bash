# complete.bash SCRIPT WORD ...: what completes the last word, a line each. As bash does, words are cut at '='.
source "$1"
shift
COMP_WORDS=() COMP_CWORD=-1
for word; do
  while [[ $word == *=* ]]; do
    [[ -n ${word%%=*} ]] && COMP_WORDS+=("${word%%=*}")
    COMP_WORDS+=("=")
    word=${word#*=}
    [[ -z $word ]] && continue 2
  done
  COMP_WORDS+=("$word")
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_mncc
printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort
