/* The load client: `load watch` and `load publish`, as README.md describes them. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "publish.h"
#include "watch.h"

enum {
    HOST = 1, PORT, TRANSPORT, PATH, METHOD, BODY, HEADER, SUBPROTOCOL,
    WATCHERS, WINDOW, CONNECT_SECONDS, STALLED_COUNT, SLOW_COUNT, SLOW_RATE,
    HELLO, HELLO_BINARY, ENGINEIO, GREETINGS, RESUME,
    RATE, BATCH,
};

static const struct option options[] = {
    {"host", 1, 0, HOST}, {"port", 1, 0, PORT}, {"transport", 1, 0, TRANSPORT}, {"path", 1, 0, PATH},
    {"method", 1, 0, METHOD}, {"body", 1, 0, BODY}, {"header", 1, 0, HEADER}, {"subprotocol", 1, 0, SUBPROTOCOL},
    {"watchers", 1, 0, WATCHERS}, {"window", 1, 0, WINDOW}, {"connect-seconds", 1, 0, CONNECT_SECONDS},
    {"stalled", 1, 0, STALLED_COUNT}, {"slow", 1, 0, SLOW_COUNT}, {"slow-rate", 1, 0, SLOW_RATE},
    {"hello", 1, 0, HELLO}, {"hello-binary", 0, 0, HELLO_BINARY}, {"engineio", 0, 0, ENGINEIO},
    {"greetings", 1, 0, GREETINGS}, {"resume", 1, 0, RESUME},
    {"rate", 1, 0, RATE}, {"batch", 1, 0, BATCH}, {0},
};

/* What both commands take; false for another option. */
static bool request_option(struct request *request, int option) {
    switch (option) {
    case HOST:
        request->host = optarg;
        return true;
    case PORT:
        request->port = (int)parse_number(optarg, 1, 65535, "--port");
        return true;
    case PATH:
        if (*optarg != '/')
            usage_error("--path is '%s', and must begin with '/'", optarg);
        request->path = optarg;
        return true;
    case HEADER:
        if (request->header_count == MOST_HEADERS || !strchr(optarg, ':') || strpbrk(optarg, "\r\n"))
            usage_error("--header is '%s', and must be 'Name: value' (at most %d of them)", optarg, MOST_HEADERS);
        request->headers[request->header_count++] = optarg;
        return true;
    default:
        return false;
    }
}

/* Text with \r, \n and \\ written as escapes. */
static struct bytes unescape(const char *text) {
    char *out = need(malloc(strlen(text) + 1)), *at = out;
    for (; *text; text++) {
        char next = *text == '\\' ? text[1] : '\0';
        if (next == 'r' || next == 'n' || next == '\\') {
            *at++ = next == 'r' ? '\r' : next == 'n' ? '\n' : '\\';
            text++;
        } else {
            *at++ = *text;
        }
    }
    return (struct bytes){out, (size_t)(at - out)};
}

static void watch_option(struct watch_options *watch, int option) {
    struct request *request = &watch->request;
    if (request_option(request, option))
        return;
    switch (option) {
    case TRANSPORT:
        if (strcmp(optarg, "sse") && strcmp(optarg, "ws"))
            usage_error("--transport is '%s', and must be sse or ws", optarg);
        request->websocket = *optarg == 'w';
        break;
    case METHOD:
        if (strcmp(optarg, "GET") && strcmp(optarg, "POST"))
            usage_error("--method is '%s', and must be GET or POST", optarg);
        request->method = optarg;
        break;
    case BODY:
        request->body = read_file(optarg);
        break;
    case SUBPROTOCOL:
        request->subprotocol = optarg;
        break;
    case WATCHERS:
        watch->watchers = (int)parse_number(optarg, 1, 1000000, "--watchers");
        break;
    case WINDOW:
        watch->window = (int)parse_number(optarg, 1, 1000000, "--window");
        break;
    case CONNECT_SECONDS:
        watch->connect_seconds = (int)parse_number(optarg, 1, 3600, "--connect-seconds");
        break;
    case STALLED_COUNT:
        watch->stalled = (int)parse_number(optarg, 0, 1000000, "--stalled");
        break;
    case SLOW_COUNT:
        watch->slow = (int)parse_number(optarg, 0, 1000000, "--slow");
        break;
    case SLOW_RATE:
        watch->slow_rate = (int)parse_number(optarg, 10, 1000000, "--slow-rate");
        break;
    case HELLO:
        if (watch->hello_count == MOST_HELLOS)
            usage_error("there are at most %d of --hello", MOST_HELLOS);
        watch->hellos[watch->hello_count++] = unescape(optarg);
        break;
    case HELLO_BINARY:
        watch->hello_binary = true;
        break;
    case ENGINEIO:
        watch->engineio = true;
        break;
    case GREETINGS:
        watch->greetings = (int)parse_number(optarg, 0, 100, "--greetings");
        break;
    case RESUME:
        watch->resume = !strcmp(optarg, "last-event-id") ? RESUME_LAST_EVENT_ID : RESUME_DURABLE;
        if (watch->resume == RESUME_DURABLE && strcmp(optarg, "durable"))
            usage_error("--resume is '%s', and must be last-event-id or durable", optarg);
        break;
    default:
        usage_error("usage: load watch --port P --transport sse|ws --path PATH --watchers N [--host A] [--method M] "
                    "[--body FILE] [--header 'K: V']... [--subprotocol S] [--hello TEXT]... [--hello-binary] "
                    "[--greetings K] [--engineio] [--stalled K] [--slow K] [--slow-rate B] [--window W] "
                    "[--connect-seconds S] [--resume last-event-id|durable]");
    }
}

static void require(const struct request *request) {
    if (!request->port || !request->path)
        usage_error("--port and --path are needed");
}

static int watch_main(int argc, char **argv) {
    struct watch_options watch = {
        .request = {.host = "127.0.0.1", .method = "GET"},
        .window = 512, .connect_seconds = 120, .slow_rate = 1024, .greetings = -1,
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;)
        watch_option(&watch, option);
    if (optind != argc)
        usage_error("'%s' is not an option", argv[optind]);
    require(&watch.request);
    if (!watch.watchers || watch.watchers < watch.stalled + watch.slow)
        usage_error("--watchers is %d, and must be 1 or more, the stalled and the slow ones included", watch.watchers);
    bool websocket_only = watch.hello_count || watch.hello_binary || watch.engineio || watch.request.subprotocol;
    if (websocket_only && !watch.request.websocket)
        usage_error("--hello, --engineio and --subprotocol need --transport ws");
    if (watch.resume != RESUME_NOTHING && watch.request.websocket)
        usage_error("--resume needs --transport sse");
    /* engine.io: its own first message, then the answer to the hello. */
    if (watch.greetings < 0)
        watch.greetings = (watch.engineio ? 1 : 0) + (watch.hello_count ? 1 : 0);
    if (watch.engineio && !watch.greetings)
        usage_error("--engineio needs --greetings of 1 or more: the hello follows the first message");
    raise_descriptors();
    return watch_run(&watch);
}

static int publish_main(int argc, char **argv) {
    struct publish_options publish = {.request = {.host = "127.0.0.1", .method = "POST"}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (request_option(&publish.request, option))
            continue;
        if (option == RATE)
            publish.rate = (double)parse_number(optarg, 0, 10000000, "--rate");
        else if (option == BATCH)
            publish.batch = (int)parse_number(optarg, 1, 1000, "--batch");
        else
            usage_error("usage: load publish --port P --path PATH [--host A] [--rate R] [--header 'K: V']... [--batch B]");
    }
    if (optind != argc)
        usage_error("'%s' is not an option", argv[optind]);
    require(&publish.request);
    return publish_run(&publish);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "watch"))
        return watch_main(argc - 1, argv + 1);
    if (!strcmp(what, "publish"))
        return publish_main(argc - 1, argv + 1);
    usage_error("usage: load watch|publish --port P --path PATH …");
}
