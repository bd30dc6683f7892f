#!/bin/sh
# Every file of lua/ and sql/ is in the binary, as it is: none was forgotten in Makefile.am.
set -eu
top=${srcdir:-.}
failed=0
for f in "$top"/lua/*.lua "$top"/sql/*.sql; do
	name=$(basename "$(dirname "$f")")/$(basename "$f")
	if ! grep -q "[[:space:]]$name\( \|\$\)\| $name\( \|\$\)" "$top/Makefile.am"; then
		echo "$name is not listed in Makefile.am"
		failed=1
	fi
	if [ "$f" -nt "lua/scripts.c" ] && [ "${name%%/*}" = lua ] || [ "$f" -nt "sql/statements.c" ] && [ "${name%%/*}" = sql ]; then
		echo "$name is newer than what was made from it"
		failed=1
	fi
done
exit $failed
