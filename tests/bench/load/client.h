/* One HTTP connection of a load program: a request at a time, kept alive, opened again when
 * the server closes it. The base and the clients live as long as the process. */
#ifndef CLIENT_H
#define CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bufferevent;

struct client {
	struct event_base *base;
	uint16_t port;
	struct bufferevent *bev;
	bool busy;          /* a request is under way */
	size_t reply_len;   /* of the reply being read, head and body; 0: its head isn't there yet */
	int status;
	void (*done)(struct client *client, int status); /* 0: the connection was lost */
	void *ctx;
};

struct event_base *client_base(void);
void client_init(struct client *client, struct event_base *base, uint16_t port,
		 void (*done)(struct client *client, int status), void *ctx);
/* `token`, `header` (a line) and `body` may be NULL; the body stays where it is until the answer. The client isn't busy. */
void client_send(struct client *client, const char *method, const char *path, const char *token, const char *header,
		 const char *body, size_t body_len);

int64_t client_now_us(void);
_Noreturn void client_die(const char *what);
/* Whole, NUL-terminated. */
char *client_read_file(const char *path, size_t *len);
/* Sorts. The value below which the share `of` 1 lies. */
int64_t client_quantile(int64_t *values, size_t count, double of);

#endif
