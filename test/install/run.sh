#!/bin/sh
# run.sh CMAKE BUILD WORK GENERATOR: installs the build into WORK and uses what is there in the three
# ways it is meant for: as a CMake package, by pkg-config, and as examples/digits on its own.
# CC and PKG_CONFIG are in the environment.
set -eu
cmake=$1 build=$2 work=$3 generator=$4
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)

rm -rf "$work"
"$cmake" --install "$build" --prefix "$work/usr" > /dev/null

"$cmake" -S "$here" -B "$work/user" -G "$generator" -DCMAKE_PREFIX_PATH="$work/usr" -DSOURCE="$source" > /dev/null
"$cmake" --build "$work/user"
"$work/user/user"
"$work/user/threads"

"$cmake" -S "$source/examples/digits" -B "$work/digits" -G "$generator" -DCMAKE_PREFIX_PATH="$work/usr" > /dev/null
"$cmake" --build "$work/digits"
"$work/digits/digits" "$source"/examples/digits/samples/7_*.pgm

# The installation was moved: the prefix in mnrt.pc is that of the configuration.
PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name mnrt.pc)")
export PKG_CONFIG_PATH
flags=$("$PKG_CONFIG" --define-prefix --cflags --libs mnrt)
# shellcheck disable=SC2086
$CC -I"$work/user/narrow" "$here/user.c" "$work/user/narrow/narrow.c" $flags -o "$work/by-pkg-config"
"$work/by-pkg-config"

# What shells and man look for.
for file in bash-completion/completions/mncc zsh/site-functions/_mncc fish/vendor_completions.d/mncc.fish man/man1/mncc.1 man/man5/mn.5 vim/vimfiles/syntax/mn.vim vim/vimfiles/ftdetect/mn.vim mncc/mn.tmLanguage.json; do
  test -s "$work/usr/share/$file"
done
