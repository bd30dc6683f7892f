/* Requests at a fixed rate, whatever the server does.
 *
 * pace PORT RATE SECS CONNECTIONS FILE: FILE holds lines "<method> TAB <path> TAB <token or -> TAB
 * <header or -> TAB <body or ->", sent in turn over and over. Each is due at its place in time; its latency counts
 * from there, so that a server that stalls can't hide the requests that it kept from being sent.
 * RATE 0 sends every line once, as fast as the connections allow.
 *
 * Prints "RESULT <answered> <errors> <microseconds> <p50> <p99> <p999> <greatest> <status of
 * the last error>", latencies in µs; status 0: no reply. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS_MAX = 1024, DRAIN_SECS = 20, ALL_SECS = 300 };

struct line {
	const char *method, *path, *token, *header, *body;
};

static struct {
	struct event_base *base;
	struct client clients[CONNECTIONS_MAX];
	int64_t due_us[CONNECTIONS_MAX]; /* of what each has under way */
	size_t client_count;
	struct line *lines;
	size_t line_count;
	double per_us; /* 0: as fast as possible */
	size_t total, sent, answered, errors;
	int error_status; /* of the last */
	int64_t *latencies_us;
	int64_t began_us, ended_us;
} pace;

static const char *or_null(const char *word)
{
	return strcmp(word, "-") == 0 ? NULL : word;
}

static void read_lines(const char *path)
{
	size_t len, room = 1024;
	char *text = client_read_file(path, &len), *save = NULL;

	pace.lines = malloc(room * sizeof(*pace.lines));
	for (char *at = strtok_r(text, "\n", &save); at && pace.lines; at = strtok_r(NULL, "\n", &save)) {
		struct line line;

		line.method = strsep(&at, "\t");
		line.path = strsep(&at, "\t");
		line.token = strsep(&at, "\t");
		line.header = strsep(&at, "\t");
		line.body = at;
		if (!line.path || !line.token || !line.header || !line.body)
			client_die("a line has not five columns");
		line.token = or_null(line.token);
		line.header = or_null(line.header);
		line.body = or_null(line.body);
		if (pace.line_count == room)
			pace.lines = realloc(pace.lines, (room *= 2) * sizeof(*pace.lines));
		if (pace.lines)
			pace.lines[pace.line_count++] = line;
	}
	if (pace.line_count == 0)
		client_die("no lines");
}

/* When the nth is due: by the schedule, or now. */
static int64_t due_us(size_t nth)
{
	return pace.per_us > 0 ? pace.began_us + (int64_t)((double)nth / pace.per_us) : client_now_us();
}

static void give(struct client *client)
{
	const struct line *line = &pace.lines[pace.sent % pace.line_count];
	int64_t due = due_us(pace.sent);

	if (client->busy || pace.sent == pace.total || due > client_now_us())
		return;
	pace.sent++;
	pace.due_us[client - pace.clients] = due;
	client_send(client, line->method, line->path, line->token, line->header, line->body,
		    line->body ? strlen(line->body) : 0);
}

static void on_reply(struct client *client, int status)
{
	int64_t now_us = client_now_us();

	pace.latencies_us[pace.answered++] = now_us - pace.due_us[client - pace.clients];
	if (status != 200 && status != 304) {
		pace.errors++;
		pace.error_status = status;
	}
	pace.ended_us = now_us;
	if (pace.answered == pace.total)
		event_base_loopbreak(pace.base);
	else
		give(client);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	for (size_t i = 0; i < pace.client_count; i++)
		give(&pace.clients[i]);
}

int main(int argc, char **argv)
{
	struct timeval tick = {.tv_usec = 500}, longest;
	double rate, secs;

	if (argc != 6) {
		fputs("usage: pace PORT RATE SECS CONNECTIONS FILE\n", stderr);
		return 2;
	}
	rate = atof(argv[2]);
	secs = atof(argv[3]);
	pace.client_count = strtoul(argv[4], NULL, 10);
	if (pace.client_count == 0 || pace.client_count > CONNECTIONS_MAX)
		client_die("CONNECTIONS");
	read_lines(argv[5]);
	pace.per_us = rate / 1e6;
	pace.total = rate > 0 ? (size_t)(rate * secs) : pace.line_count;
	pace.latencies_us = calloc(pace.total, sizeof(*pace.latencies_us));
	if (!pace.latencies_us)
		client_die("calloc");
	pace.base = client_base();
	pace.began_us = pace.ended_us = client_now_us();
	for (size_t i = 0; i < pace.client_count; i++) {
		client_init(&pace.clients[i], pace.base, (uint16_t)atoi(argv[1]), on_reply, NULL);
		give(&pace.clients[i]);
	}
	event_add(event_new(pace.base, -1, EV_PERSIST, on_tick, NULL), &tick);
	longest = (struct timeval){.tv_sec = rate > 0 ? (time_t)secs + DRAIN_SECS : ALL_SECS};
	event_base_loopexit(pace.base, &longest);
	event_base_dispatch(pace.base);

	/* what was never answered took at least as long as we waited */
	for (size_t i = pace.answered; i < pace.total; i++) {
		int64_t due = due_us(i);

		pace.latencies_us[i] = client_now_us() - due;
		pace.errors++;
	}
	printf("RESULT %zu %zu %lld", pace.answered, pace.errors, (long long)(pace.ended_us - pace.began_us));
	for (size_t i = 0; i < 4; i++)
		printf(" %lld", (long long)client_quantile(pace.latencies_us, pace.total,
							   (const double[]){0.5, 0.99, 0.999, 1}[i]));
	printf(" %d\n", pace.error_status);
	return 0;
}
