/* The survey: every few seconds one worker counts in the ledger what waits there, for /metrics.
 *
 * Each count goes along an index and is bounded; a survey that fails leaves the last one standing,
 * and debrief_survey_timestamp_seconds says how old it is. */
#ifndef DEBRIEF_BROKER_SURVEY_H
#define DEBRIEF_BROKER_SURVEY_H

struct survey;
struct worker;

struct survey *survey_new(struct worker *worker); /* NULL: out of resources */
void survey_free(struct survey *survey);          /* after the worker's stores */

#endif
