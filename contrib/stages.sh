# Sourced by setup, demo and test: one line a stage on the terminal, the details in a log.
#
#   stage "what it does" command…   runs it quietly; on failure shows the end of the log

now_secs() {
	date +%s
}

# $1: the log's path. An existing one is started afresh.
log_to() {
	LOG=$1
	mkdir -p "$(dirname "$LOG")"
	: >"$LOG"
}

stage() {
	stage_what=$1
	shift
	stage_began=$(now_secs)
	printf '%s … ' "$stage_what"
	printf '\n== %s: %s\n' "$stage_what" "$*" >>"$LOG"
	stage_status=0
	"$@" >>"$LOG" 2>&1 </dev/null || stage_status=$?
	stage_secs=$(($(now_secs) - stage_began))
	if [ "$stage_status" -eq 0 ]; then
		printf '%s s\n' "$stage_secs"
		return 0
	fi
	printf 'FAILED after %s s (status %s)\n' "$stage_secs" "$stage_status"
	printf -- '--- the end of %s:\n' "$LOG"
	tail -n 40 "$LOG"
	printf -- '---\n'
	return "$stage_status"
}

say() {
	printf '%s\n' "$*"
}
