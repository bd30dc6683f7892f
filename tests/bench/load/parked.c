/* Long polls, parked; then webhooks, one after another, and how soon each is told.
 *
 * parked PARKED HOOKS: PARKED holds lines "<port> TAB <path> TAB <token>", one client each, that
 * waits for its final answer and comes again when its time has run out. When all are waiting it
 * prints "PARKED <count>" and reads a line from stdin. HOOKS holds lines "<port> TAB <number of the
 * parked, from 0> TAB <signature> TAB <file of the body>". One is sent when the last one's client
 * has been answered; latency runs from the webhook's 200 to that answer (0 if it came before).
 *
 * Prints "RESULT <told> <errors> <p50> <p99> <greatest>", in µs, and then "LATENCIES <µs> …". */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARKED_MAX = 20000, SETTLE_US = 1500000, TELL_US = 15000000, OPENING_MAX = 64, NODES_MAX = 4 };

struct parked {
	struct client client;
	const char *path, *token;
	int64_t told_us; /* 0: not yet */
};

static struct {
	struct event_base *base;
	struct parked *parked;
	size_t count, opened, errors;
	char *hooks;
	struct client hook_clients[NODES_MAX]; /* by their port */
	struct parked *awaited;
	int64_t hook_sent_us, hook_ok_us; /* 0: not yet */
	int64_t *after_ok_us, *after_sent_us;
	size_t told;
	int64_t quiet_since_us; /* the last time one was sent off to wait */
	struct event *settled;
	struct event *too_late;
} all;

static void next_hook(void);

static void park(struct parked *parked)
{
	all.quiet_since_us = client_now_us();
	client_send(&parked->client, "GET", parked->path, parked->token, "Prefer: wait=55", NULL, 0);
}

/* Both are there: the webhook's 200 and the client's answer. */
static void judge(void)
{
	if (!all.hook_ok_us || !all.awaited->told_us)
		return;
	all.after_ok_us[all.told] = all.awaited->told_us - all.hook_ok_us;
	all.after_sent_us[all.told++] = all.awaited->told_us - all.hook_sent_us;
	next_hook();
}

static void parked_on_reply(struct client *client, int status)
{
	struct parked *parked = client->ctx;

	if (parked == all.awaited && status == 200 && all.hook_sent_us) {
		parked->told_us = client_now_us();
		judge();
		return;
	}
	if (status != 200 && status != 304)
		all.errors++;
	if (all.errors > all.count)
		client_die("the waiting clients are refused");
	park(parked); /* its time has run out, or its connection was lost */
}

static void hook_on_reply(struct client *client, int status)
{
	(void)client;
	all.hook_ok_us = client_now_us();
	if (status != 200) {
		all.errors++;
		next_hook();
		return;
	}
	judge();
}

static struct client *hook_client(uint16_t port)
{
	for (size_t i = 0; i < NODES_MAX; i++) {
		struct client *client = &all.hook_clients[i];

		if (client->port == 0)
			client_init(client, all.base, port, hook_on_reply, NULL);
		if (client->port == port)
			return client;
	}
	client_die("too many nodes");
}

static void next_hook(void)
{
	struct timeval late = {.tv_sec = TELL_US / 1000000};
	char *line, *signature, header[512], *body;
	uint16_t port;
	size_t body_len;

	all.awaited = NULL;
	all.hook_sent_us = all.hook_ok_us = 0;
	line = strsep(&all.hooks, "\n");
	if (!line || !*line) {
		event_base_loopbreak(all.base);
		return;
	}
	port = (uint16_t)atoi(strsep(&line, "\t"));
	all.awaited = &all.parked[strtoul(strsep(&line, "\t"), NULL, 10)];
	signature = strsep(&line, "\t");
	body = client_read_file(line, &body_len);
	snprintf(header, sizeof(header), "ElevenLabs-Signature: %s", signature);
	event_add(all.too_late, &late);
	all.hook_sent_us = client_now_us();
	client_send(hook_client(port), "POST", "/webhooks/elevenlabs", NULL, header, body, body_len);
	free(body);
}

static void on_too_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	client_die("a waiting client was not told");
}

/* Opens what remains, some at a time, and goes on when all have been waiting for a while. */
static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	char line[16];

	(void)fd, (void)what, (void)arg;
	for (int i = 0; i < OPENING_MAX && all.opened < all.count; i++)
		park(&all.parked[all.opened++]);
	if (client_now_us() - all.quiet_since_us < SETTLE_US)
		return;
	event_del(all.settled);
	printf("PARKED %zu\n", all.count);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
	next_hook();
}

static void read_parked(const char *path)
{
	size_t len;
	char *text = client_read_file(path, &len), *save = NULL;

	all.parked = calloc(PARKED_MAX, sizeof(*all.parked));
	all.after_ok_us = calloc(PARKED_MAX, sizeof(*all.after_ok_us));
	all.after_sent_us = calloc(PARKED_MAX, sizeof(*all.after_sent_us));
	if (!all.parked || !all.after_ok_us || !all.after_sent_us)
		client_die("calloc");
	for (char *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		struct parked *parked = &all.parked[all.count++];
		uint16_t port = (uint16_t)atoi(strsep(&at, "\t"));

		parked->path = strsep(&at, "\t");
		parked->token = at;
		if (!parked->token || all.count == PARKED_MAX)
			client_die("a line has not three columns, or there are too many");
		client_init(&parked->client, all.base, port, parked_on_reply, parked);
	}
}

static void print_all(const char *name, const int64_t *values_us)
{
	printf("%s", name);
	for (size_t i = 0; i < all.told; i++)
		printf(" %lld", (long long)values_us[i]);
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct timeval tick = {.tv_usec = 10000};
	size_t len;

	if (argc != 3) {
		fputs("usage: parked PARKED HOOKS\n", stderr);
		return 2;
	}
	all.base = client_base();
	read_parked(argv[1]);
	all.hooks = client_read_file(argv[2], &len);
	all.too_late = evtimer_new(all.base, on_too_late, NULL);
	all.settled = event_new(all.base, -1, EV_PERSIST, on_settle, NULL);
	event_add(all.settled, &tick);
	event_base_dispatch(all.base);
	printf("RESULT %zu %zu\n", all.told, all.errors);
	print_all("AFTER_OK", all.after_ok_us);
	print_all("AFTER_SENT", all.after_sent_us);
	return 0;
}
