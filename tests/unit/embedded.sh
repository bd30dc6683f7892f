#!/bin/sh
# Every file of lua/ and sql/ is in the binary, as it is: none was forgotten in Makefile.am. And each script
# names in its line `-- uses …` the shared files that it needs, and no other.
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

# The code without its comments.
code() { sed 's/--.*//' "$@"; }
# The names that a shared file gives to what stands behind it.
names() { code "$1" | sed -n -e 's/^local function \([a-z_A-Z]*\).*/\1/p' -e 's/^local \([a-z_A-Z, ]*\) =.*/\1/p' | tr -d ' ' | tr ',' '\n'; }
shared=$(sed -n '/^shared_lua = /,/[^\\]$/p' "$top/Makefile.am" | tr -d '\\' | sed 's/^shared_lua = //')
for f in "$top"/lua/*.lua; do
	case " $(echo $shared) " in *" lua/$(basename "$f") "*) continue ;; esac
	uses=$(sed -n 's/^-- uses //p' "$f")
	# from the last to the first: what a needed one needs is needed
	text=$(code "$f") needs=
	for s in $(echo $shared | tr ' ' '\n' | tac); do
		pattern=$(names "$top/$s" | sed 's/.*/\\b&\\b/' | paste -sd '|')
		echo "$text" | grep -Eq "$pattern" || continue
		needs="$(basename "$s" .lua)${needs:+ $needs}"
		text="$text
$(code "$top/$s")"
	done
	if [ "$uses" != "$needs" ]; then
		echo "$f says that it uses '$uses', but needs '$needs'"
		failed=1
	fi
done
exit $failed
