/* Migrations: sql/NNNN_name.sql in order, each in one transaction, under an advisory lock. */
#ifndef DEBRIEF_POSTGRES_MIGRATE_H
#define DEBRIEF_POSTGRES_MIGRATE_H

#include <stdio.h>

#include "base/span.h"

struct migrate_options {
	const char *conninfo;
	const char *assume_timezone; /* of zone-less TIMESTAMP columns of older tables */
	int64_t partitions;          /* stored at the first migration; a mismatch is refused */
	bool dry_run;                /* runs all and rolls back, so that errors show */
};

/* Blocks. Prints a line a migration to `out`, errors to `err`. Exit status: 0, or 1. */
int migrate_run(const struct migrate_options *options, FILE *out, FILE *err);

/* The newest version that this binary holds. */
int migrate_newest_version(void);

#endif
