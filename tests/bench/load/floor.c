/* The floor of the benchmark: evhttp answering every request with the same bytes.
 *
 * floor PORT STATUS FILE: FILE holds header lines, an empty line, and the body, as
 * Debrief sent them. What Debrief costs is its distance from this. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

enum { RESPONSE_MAX = 1 << 20, HEADERS_MAX = 32, BACKLOG = 4096 };

struct reply {
	int status;
	size_t header_count;
	const char *names[HEADERS_MAX];
	const char *values[HEADERS_MAX];
	const char *body;
	size_t body_len;
	char text[RESPONSE_MAX];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void read_reply(struct reply *reply, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *line = reply->text, *end;
	size_t len;

	if (!file)
		die(path);
	len = fread(reply->text, 1, sizeof(reply->text) - 1, file);
	fclose(file);
	while ((end = strchr(line, '\n')) && end != line) {
		char *colon = strchr(line, ':');

		*end = '\0';
		if (colon && reply->header_count < HEADERS_MAX) {
			*colon = '\0';
			reply->names[reply->header_count] = line;
			reply->values[reply->header_count++] = colon + 1 + strspn(colon + 1, " ");
		}
		line = end + 1;
	}
	reply->body = end ? end + 1 : reply->text + len;
	reply->body_len = (size_t)(reply->text + len - reply->body);
}

static void answer(struct evhttp_request *request, void *arg)
{
	const struct reply *reply = arg;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	for (size_t i = 0; i < reply->header_count; i++)
		if (evhttp_add_header(headers, reply->names[i], reply->values[i]) != 0)
			die("evhttp_add_header");
	if (evbuffer_add(evhttp_request_get_output_buffer(request), reply->body, reply->body_len) != 0)
		die("evbuffer_add");
	evhttp_send_reply(request, reply->status, NULL, NULL);
}

static int listen_on(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("setsockopt");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		die("bind");
	if (listen(fd, BACKLOG) != 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	static struct reply reply;
	struct event_config *config = event_config_new();
	struct event_base *base;
	struct evhttp *http;

	if (argc != 4) {
		fputs("usage: floor PORT STATUS FILE\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	reply.status = atoi(argv[2]);
	read_reply(&reply, argv[3]);
	if (!config)
		die("event_config_new");
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	http = base ? evhttp_new(base) : NULL;
	if (!http || evhttp_accept_socket(http, listen_on(argv[1])) != 0)
		die("evhttp");
	evhttp_set_gencb(http, answer, &reply);
	return event_base_dispatch(base) < 0;
}
