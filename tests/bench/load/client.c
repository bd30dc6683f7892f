#include "client.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

void client_die(const char *what)
{
	perror(what);
	exit(1);
}

int64_t client_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

struct event_base *client_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		client_die("event_config_new");
	/* timers by the microsecond: what is measured are milliseconds */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(config);
	if (!base)
		client_die("event_base_new");
	event_config_free(config);
	return base;
}

char *client_read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	char *text;

	if (!file || fstat(fileno(file), &status) != 0)
		client_die(path);
	*len = (size_t)status.st_size;
	text = malloc(*len + 1);
	if (!text || fread(text, 1, *len, file) != *len)
		client_die(path);
	text[*len] = '\0';
	fclose(file);
	return text;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t client_quantile(int64_t *values, size_t count, double of)
{
	size_t at;

	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	at = (size_t)((double)count * of);
	return values[at < count ? at : count - 1];
}

static void client_end(struct client *client, int status)
{
	client->busy = false;
	client->reply_len = 0;
	client->done(client, status);
}

/* Length of the whole reply, or 0 if its head isn't complete. */
static size_t reply_length(struct client *client, struct evbuffer *input)
{
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	size_t head_len, body_len = 0;
	char head[4096], *line;

	if (end.pos < 0)
		return 0;
	head_len = (size_t)end.pos + 4;
	if (head_len >= sizeof(head))
		client_die("a reply's head is too long");
	evbuffer_copyout(input, head, head_len);
	head[head_len] = '\0';
	if (sscanf(head, "HTTP/1.%*d %d", &client->status) != 1)
		client_die("not HTTP");
	line = strcasestr(head, "\r\nContent-Length:");
	if (line && client->status != 304)
		body_len = strtoul(line + 17, NULL, 10);
	return head_len + body_len;
}

static void client_on_read(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	struct evbuffer *input = bufferevent_get_input(bev);

	if (client->reply_len == 0)
		client->reply_len = reply_length(client, input);
	if (client->reply_len == 0 || evbuffer_get_length(input) < client->reply_len)
		return;
	evbuffer_drain(input, client->reply_len);
	client_end(client, client->status);
}

static void client_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *client = arg;

	if (what & BEV_EVENT_CONNECTED)
		return;
	bufferevent_free(bev);
	client->bev = NULL;
	if (client->busy)
		client_end(client, 0);
}

static void client_connect(struct client *client)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(client->port)};
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->bev = bufferevent_socket_new(client->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!client->bev)
		client_die("bufferevent_socket_new");
	bufferevent_setcb(client->bev, client_on_read, NULL, client_on_event, client);
	bufferevent_enable(client->bev, EV_READ);
	/* a body goes in one write: what the load costs is taken from those whom it measures */
	bufferevent_set_max_single_write(client->bev, 1 << 20);
	if (bufferevent_socket_connect(client->bev, (struct sockaddr *)&address, sizeof(address)) != 0)
		client_die("connect");
	setsockopt(bufferevent_getfd(client->bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void client_init(struct client *client, struct event_base *base, uint16_t port,
		 void (*done)(struct client *client, int status), void *ctx)
{
	*client = (struct client){.base = base, .port = port, .done = done, .ctx = ctx};
}

void client_send(struct client *client, const char *method, const char *path, const char *token, const char *header,
		 const char *body, size_t body_len)
{
	struct evbuffer *output;

	if (!client->bev)
		client_connect(client);
	client->busy = true;
	output = bufferevent_get_output(client->bev);
	evbuffer_add_printf(output, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", method, path, client->port);
	if (token)
		evbuffer_add_printf(output, "Authorization: Bearer %s\r\n", token);
	if (header)
		evbuffer_add_printf(output, "%s\r\n", header);
	if (body)
		evbuffer_add_printf(output, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
	evbuffer_add(output, "\r\n", 2);
	if (body)
		evbuffer_add_reference(output, body, body_len, NULL, NULL);
}
