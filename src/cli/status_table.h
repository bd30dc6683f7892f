/* The table of `debrief status`, from one or two readings of a node. */
#ifndef DEBRIEF_CLI_STATUS_TABLE_H
#define DEBRIEF_CLI_STATUS_TABLE_H

#include <stdio.h>

#include "cli/samples.h"

/* One reading: what the admin listener said. */
struct reading {
	struct arena arena;
	const char *error; /* why there is none */
	int64_t at_ms;     /* wall clock */
	struct span ready; /* /readyz: JSON */
	struct samples samples;
};

/* `before`: the reading that rates count from; NULL: since the node's start. */
void status_print_table(FILE *out, const char *url, const struct reading *now, const struct reading *before,
			bool colour);

#endif
