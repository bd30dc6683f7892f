/* Ids that travel in URLs, Redis keys and rows: what they may look like. */
#include "provider/provider.h"

enum { SESSION_ID_MAX = 128 };

static bool is_alphanumeric(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

bool session_id_valid(struct span sid)
{
	if (sid.n == 0 || sid.n > SESSION_ID_MAX || span_starts_with(sid, SPAN("fallback:")))
		return false;
	for (size_t i = 0; i < sid.n; i++)
		if (!is_alphanumeric(sid.p[i]) && memchr("._:-", sid.p[i], 4) == NULL)
			return false;
	return true;
}

bool conversation_id_strong(struct span id)
{
	const struct span prefix = SPAN("conv_");

	if (id.n <= prefix.n || !span_starts_with(id, prefix))
		return false;
	for (size_t i = prefix.n; i < id.n; i++)
		if (!is_alphanumeric(id.p[i]))
			return false;
	return true;
}
