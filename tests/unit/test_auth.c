/* Bearer tokens: what is accepted, and each trap of libjwt and of JOSE closed. */
#include "auth_fixture.h"

#include <pthread.h>

static void accepts_each_algorithm(void **state)
{
	struct auth_keys *secret = load(SECRET, NULL, NULL), *rsa = load(NULL, rsa_pem, NULL);
	struct auth_keys *ec = load(NULL, ec_pem, NULL);
	struct auth_token token;

	(void)state;
	assert_token(secret, &by_secret, HS256, CLAIMS, AUTH_OK);
	assert_token(rsa, &by_rsa, RS256, CLAIMS, AUTH_OK);
	assert_token(ec, &by_ec, ES256, CLAIMS, AUTH_OK);
	assert_token(ec, &by_other_ec, ES256, CLAIMS, AUTH_BAD_SIGNATURE);
	assert_int_equal(auth_verify(ec, make_token(&by_ec, ES256,
		"{\"sub\":\"6F1B6A8E-7C5E-4A36-9D6C-0A4C9B1D2E3F\",\"exp\":1763870400.9}"), NOW, &token), AUTH_OK);
	assert_string_equal(token.user.text, USER);
	assert_int_equal(token.expires_secs, NOW);
	auth_keys_free(secret);
	auth_keys_free(rsa);
	auth_keys_free(ec);
}

static void reads_the_header_itself(void **state)
{
	static const struct {
		const char *header;
		enum auth_result result;
	} cases[] = {
		{"{\"alg\":\"HS256\"}", AUTH_OK},
		{"{\"alg\":\"HS256\",\"typ\":\"jwt\",\"kid\":\"any\",\"cty\":5}", AUTH_OK},
		{"{\"\\u0061lg\":\"\\u0048S256\"}", AUTH_OK},
		{"{\"alg\":\"none\",\"alg\":\"HS256\"}", AUTH_OK},
		{"{\"alg\":\"HS256\",\"alg\":\"none\"}", AUTH_NO_KEY},
		{"{\"alg\":\"none\"}", AUTH_NO_KEY},
		{"{\"alg\":\"NONE\"}", AUTH_NO_KEY},
		{"{\"alg\":\"hS256\"}", AUTH_NO_KEY},
		{"{\"alg\":\"hs256\"}", AUTH_NO_KEY},
		{"{\"alg\":\"HS256 \"}", AUTH_NO_KEY},
		{"{\"alg\":\"HS512\"}", AUTH_NO_KEY},
		{"{\"alg\":\"RS256\"}", AUTH_NO_KEY},
		{"{\"alg\":\"\"}", AUTH_NO_KEY},
		{"{\"alg\":256}", AUTH_MALFORMED},
		{"{\"ALG\":\"HS256\"}", AUTH_MALFORMED},
		{"{}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"crit\":null}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"kid\":1}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"x\":\"\\u0000\"}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\",\"x\":\"\xff\"}", AUTH_MALFORMED},
		{"{\"alg\":\"HS256\"} {}", AUTH_MALFORMED},
		{"[\"HS256\"]", AUTH_MALFORMED},
		{"", AUTH_MALFORMED},
	};
	struct auth_keys *keys = load(SECRET, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum auth_result result = check(keys, make_token(&by_secret, cases[i].header, CLAIMS));

		if (result != cases[i].result)
			fail_msg("%s: %s", cases[i].header, auth_result_text(result));
	}
	auth_keys_free(keys);
}

/* The public key is known to everyone; it must never work as a secret. */
static void refuses_algorithm_confusion(void **state)
{
	const struct signer by_rsa_pem = {.secret = rsa_pem}, by_ec_pem = {.secret = ec_pem};
	struct auth_keys *rsa = load(NULL, rsa_pem, NULL), *ec = load(NULL, ec_pem, NULL);
	struct auth_keys *both = load(SECRET, rsa_pem, NULL);
	char set[1200];

	(void)state;
	assert_token(rsa, &by_rsa_pem, HS256, CLAIMS, AUTH_NO_KEY);
	assert_token(rsa, &by_rsa_pem, "{\"alg\":\"hS256\"}", CLAIMS, AUTH_NO_KEY);
	assert_token(rsa, &by_rsa_pem, RS256, CLAIMS, AUTH_BAD_SIGNATURE);
	assert_token(rsa, &by_ec, ES256, CLAIMS, AUTH_NO_KEY);
	assert_token(ec, &by_ec_pem, HS256, CLAIMS, AUTH_NO_KEY);
	assert_token(both, &by_rsa_pem, HS256, CLAIMS, AUTH_BAD_SIGNATURE);
	assert_token(both, &by_secret, RS256, CLAIMS, AUTH_BAD_SIGNATURE);
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", ec_jwk(by_ec.pkey, ",\"kid\":\"e\""));
	struct auth_keys *named = load(NULL, NULL, set);

	assert_token(named, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"e\"}", CLAIMS, AUTH_OK);
	assert_token(named, &by_ec_pem, "{\"alg\":\"HS256\",\"kid\":\"e\"}", CLAIMS, AUTH_NO_KEY);
	auth_keys_free(rsa);
	auth_keys_free(ec);
	auth_keys_free(both);
	auth_keys_free(named);
}

static void refuses_what_was_altered(void **state)
{
	struct auth_keys *keys = load(NULL, ec_pem, NULL);
	struct span token = make_token(&by_ec, ES256, CLAIMS);
	char copy[1024], *signature;
	static const char *const suffixes[] = {"=", ".", ".e30", " ", "\n", "A", "+", "AA"};

	(void)state;
	for (size_t i = 0; i < token.n; i++) {
		memcpy(copy, token.p, token.n);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		assert_int_not_equal(check(keys, (struct span){copy, token.n}), AUTH_OK);
		assert_int_not_equal(check(keys, (struct span){token.p, i}), AUTH_OK);
	}
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(copy, sizeof(copy), "%.*s%s", SPAN_ARG(token), suffixes[i]);
		assert_int_not_equal(check(keys, span_of(copy)), AUTH_OK);
	}
	/* 64 bytes leave four bits of the last character unused: they must be zero */
	snprintf(copy, sizeof(copy), "%.*s", SPAN_ARG(token));
	copy[token.n - 1]++;
	assert_int_equal(check(keys, span_of(copy)), AUTH_MALFORMED);
	signature = strrchr(copy, '.');
	signature[1] = '\0';
	assert_int_equal(check(keys, span_of(copy)), AUTH_MALFORMED);
	assert_int_equal(check(keys, SPAN("eyJhbGciOiJub25lIn0.e30.")), AUTH_MALFORMED);
	assert_int_equal(check(keys, SPAN("")), AUTH_MALFORMED);
	assert_int_equal(check(keys, SPAN_ABSENT), AUTH_MISSING);
	auth_keys_free(keys);
}

static void bounds_the_length(void **state)
{
	struct auth_keys *keys = load(SECRET, NULL, NULL);
	char claims[TEXT_MAX];
	struct span token;
	size_t accepted = 0, refused = 0;

	(void)state;
	for (int filler = 5900; filler < 6100; filler++) {
		snprintf(claims, sizeof(claims), "{\"sub\":\"" USER "\",\"exp\":%d,\"x\":\"%0*d\"}", NOW, filler, 0);
		token = make_token(&by_secret, HS256, claims);
		if (check(keys, token) == AUTH_OK)
			accepted = token.n;
		else if (refused == 0)
			refused = token.n;
	}
	assert_in_range(accepted, AUTH_TOKEN_MAX - 2, AUTH_TOKEN_MAX);
	assert_in_range(refused, AUTH_TOKEN_MAX + 1, AUTH_TOKEN_MAX + 3);
	auth_keys_free(keys);
}

#define SUB "\"sub\":\"" USER "\""

static void checks_the_claims(void **state)
{
	static const struct {
		const char *claims;
		enum auth_result result;
	} cases[] = {
		{"{" SUB ",\"exp\":1763870370}", AUTH_OK}, /* NOW - 30 */
		{"{" SUB ",\"exp\":1763870369}", AUTH_EXPIRED},
		{"{" SUB ",\"exp\":1763870369.999}", AUTH_EXPIRED},
		{"{" SUB ",\"exp\":1.763870370e9}", AUTH_OK},
		{"{" SUB ",\"exp\":0}", AUTH_EXPIRED},
		{"{" SUB ",\"exp\":-1.5}", AUTH_EXPIRED},
		{"{" SUB ",\"exp\":253402300799}", AUTH_OK},
		{"{" SUB ",\"exp\":1763874000000}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":9223372036854775807}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":1e300}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":1e999}", AUTH_MALFORMED},
		{"{" SUB "}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":null}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":true}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":\"1763874000\"}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":[1763874000]}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"EXP\":1763874000}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":1763874000,\"exp\":1}", AUTH_EXPIRED},
		{"{" SUB ",\"exp\":1763874000,\"nbf\":1763870430}", AUTH_OK}, /* NOW + 30 */
		{"{" SUB ",\"exp\":1763874000,\"nbf\":1763870431}", AUTH_NOT_YET},
		{"{" SUB ",\"exp\":1763874000,\"nbf\":1763870430.9}", AUTH_OK},
		{"{" SUB ",\"exp\":1763874000,\"nbf\":\"0\"}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":1763874000,\"nbf\":null}", AUTH_BAD_CLAIM},
		{"{" SUB ",\"exp\":1763874000,\"iat\":\"x\",\"aud\":\"x\",\"iss\":5}", AUTH_OK},
		{"{\"exp\":1763874000}", AUTH_BAD_CLAIM},
		{"{\"exp\":1763874000,\"sub\":5}", AUTH_BAD_CLAIM},
		{"{\"exp\":1763874000,\"sub\":\"\"}", AUTH_BAD_CLAIM},
		{"{\"exp\":1763874000,\"sub\":\"joe\"}", AUTH_BAD_CLAIM},
		{"{\"exp\":1763874000,\"sub\":\"" USER "x\"}", AUTH_BAD_CLAIM},
		{"{\"exp\":1763874000,\"sub\":\"" USER "\\u0000\"}", AUTH_MALFORMED},
		{"{\"exp\":1763874000,\"sub\":[\"" USER "\"]}", AUTH_BAD_CLAIM},
		{"[" CLAIMS "]", AUTH_MALFORMED},
		{CLAIMS "x", AUTH_MALFORMED},
		{"null", AUTH_MALFORMED},
	};
	struct auth_keys *keys = load(SECRET, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum auth_result result = check(keys, make_token(&by_secret, HS256, cases[i].claims));

		if (result != cases[i].result)
			fail_msg("%s: %s", cases[i].claims, auth_result_text(result));
	}
	auth_keys_free(keys);
}

static void checks_audience_and_issuer(void **state)
{
	static const struct {
		const char *members;
		enum auth_result result;
	} cases[] = {
		{"\"iss\":\"https://id.example\",\"aud\":\"debrief\"", AUTH_OK},
		{"\"iss\":\"https://id.example\",\"aud\":[\"other\",\"debrief\"]", AUTH_OK},
		{"\"iss\":\"https:\\/\\/id.example\",\"aud\":\"d\\u0065brief\"", AUTH_OK},
		{"\"iss\":\"https://id.example\",\"aud\":[\"debrief\",5]", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":[[\"debrief\"]]", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":[]", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":{\"a\":\"debrief\"}", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":\"Debrief\"", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":\"debrief2\"", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\",\"aud\":null", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example\"", AUTH_BAD_CLAIM},
		{"\"iss\":\"https://id.example/\",\"aud\":\"debrief\"", AUTH_BAD_CLAIM},
		{"\"iss\":[\"https://id.example\"],\"aud\":\"debrief\"", AUTH_BAD_CLAIM},
		{"\"aud\":\"debrief\"", AUTH_BAD_CLAIM},
	};
	struct auth_options options = {.secret = SECRET, .audience = "debrief", .issuer = "https://id.example"};
	struct auth_keys *keys = auth_keys_load(&options, load_error, sizeof(load_error));
	char claims[512];

	(void)state;
	assert_non_null(keys);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(claims, sizeof(claims), "{" SUB ",\"exp\":%d,%s}", NOW, cases[i].members);
		enum auth_result result = check(keys, make_token(&by_secret, HS256, claims));

		if (result != cases[i].result)
			fail_msg("%s: %s", claims, auth_result_text(result));
	}
	auth_keys_free(keys);
}

static void finds_the_bearer_token(void **state)
{
	(void)state;
	assert_true(span_is(auth_bearer_token(SPAN("Bearer a.b.c")), "a.b.c"));
	assert_true(span_is(auth_bearer_token(SPAN(" bEARER   a.b.c ")), "a.b.c"));
	assert_null(auth_bearer_token(SPAN_ABSENT).p);
	assert_null(auth_bearer_token(SPAN("")).p);
	assert_null(auth_bearer_token(SPAN("Bearer")).p);
	assert_null(auth_bearer_token(SPAN("Bearer ")).p);
	assert_null(auth_bearer_token(SPAN("Bearera.b.c")).p);
	assert_null(auth_bearer_token(SPAN("Basic YTpi")).p);
	assert_null(auth_bearer_token(SPAN("a.b.c")).p);
}

static void mints_what_it_accepts(void **state)
{
	struct auth_options options = {.secret = SECRET, .audience = "debrief", .issuer = "me"};
	struct auth_keys *keys = auth_keys_load(&options, load_error, sizeof(load_error));
	const struct uuid user = {USER};
	struct auth_token token;
	char *text = auth_mint(SECRET, &user, "debrief", "me", NOW, 60);

	(void)state;
	assert_non_null(text);
	assert_int_equal(auth_verify(keys, span_of(text), NOW, &token), AUTH_OK);
	assert_string_equal(token.user.text, USER);
	assert_int_equal(token.expires_secs, NOW + 60);
	assert_int_equal(auth_verify(keys, span_of(text), NOW + 91, &token), AUTH_EXPIRED);
	free(text);
	text = auth_mint(SECRET, &user, NULL, NULL, NOW, 60);
	assert_int_equal(auth_verify(keys, span_of(text), NOW, &token), AUTH_BAD_CLAIM);
	free(text);
	assert_null(auth_mint("short", &user, NULL, NULL, NOW, 60));
	assert_null(auth_mint(NULL, &user, NULL, NULL, NOW, 60));
	auth_keys_free(keys);
}

/* RFC 6750, 3: what may stand in error_description. */
static void results_can_be_quoted(void **state)
{
	(void)state;
	for (int result = AUTH_OK; result <= AUTH_BAD_CLAIM; result++)
		for (const char *p = auth_result_text(result); *p; p++)
			assert_true(*p >= ' ' && *p <= '~' && *p != '"' && *p != '\\');
}

static void *verify_many(void *keys)
{
	size_t *accepted = calloc(1, sizeof(*accepted));
	char hs[512], es[512];

	snprintf(hs, sizeof(hs), "%.*s", SPAN_ARG(make_token(&by_secret, HS256, CLAIMS)));
	snprintf(es, sizeof(es), "%.*s", SPAN_ARG(make_token(&by_ec, ES256, CLAIMS)));
	for (int i = 0; i < 100; i++)
		*accepted += (check(keys, span_of(hs)) == AUTH_OK) + (check(keys, span_of(es)) == AUTH_OK);
	return accepted;
}

static void verifies_on_many_threads(void **state)
{
	struct auth_keys *keys = load(SECRET, ec_pem, NULL);
	pthread_t threads[4];
	void *accepted;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, verify_many, keys), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &accepted), 0);
		assert_int_equal(*(size_t *)accepted, 200);
		free(accepted);
	}
	auth_keys_free(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_each_algorithm),
		cmocka_unit_test(reads_the_header_itself),
		cmocka_unit_test(refuses_algorithm_confusion),
		cmocka_unit_test(refuses_what_was_altered),
		cmocka_unit_test(bounds_the_length),
		cmocka_unit_test(checks_the_claims),
		cmocka_unit_test(checks_audience_and_issuer),
		cmocka_unit_test(finds_the_bearer_token),
		cmocka_unit_test(mints_what_it_accepts),
		cmocka_unit_test(results_can_be_quoted),
		cmocka_unit_test(verifies_on_many_threads),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
