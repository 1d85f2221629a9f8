<?php

/**
 * A side process of wsmaster in PHP (8.1 or newer): plugin protocol 1 in one file, without dependencies.
 *
 * Owns the two descriptors to the server: reads events, calls your handlers one after the other, writes commands. It
 * opens no socket and keeps no state about connections. The protocol is in docs/plugins.md.
 *
 *     require 'wsmaster.php';
 *
 *     $plugin = new Wsmaster\Plugin();
 *     $plugin->onMessage(function (array $event) use ($plugin) {
 *         $plugin->push($event['connection'], 'you said ' . ($event['text'] ?? 'something binary'));
 *     });
 *     $plugin->run();
 *
 * An event is the array of the protocol; only `binary`, where it has one, is already a string of bytes.
 *
 * Commands are sent and forgotten. The same methods of `$plugin->ask` wait for the reply and return it as an array.
 * Events that come in meanwhile wait in memory and are handled afterwards.
 *
 * Without the environment that the server gives, events come from stdin and commands go to stdout: a program can be
 * tried by typing the server's lines. What a program prints never mixes with its commands.
 *
 * Without the extension pcntl SIGTERM ends PHP at once, and onStop may not be called.
 */

declare(strict_types=1);

namespace Wsmaster;

/** A question to the server was not answered. `reply` is what came instead, with `result` and `error`. */
final class CommandFailed extends \RuntimeException
{
    /** @param array<string, mixed> $reply */
    public function __construct(public readonly array $reply)
    {
        parent::__construct(($reply['result'] ?? '') . ': ' . ($reply['error'] ?? ''));
    }
}

/**
 * The commands of the protocol, and what becomes of them: `$perform` sends one and gives what there is to return.
 *
 * A message is exactly one of `text` (UTF-8), `json` (any value that JSON has) and `binary` (a string of bytes). `null`
 * is "not given": to send JSON's null, send the text "null".
 */
class Commands
{
    /** @param \Closure(array<string, mixed>): ?array<string, mixed> $perform */
    public function __construct(private readonly \Closure $perform)
    {
    }

    /** Sends one message to one connection. The reply's `result` says `delivered`, or why it was not. */
    public function push(int $connection, ?string $text = null, mixed $json = null, ?string $binary = null): ?array
    {
        $body = self::body(compact('text', 'json', 'binary'));
        return ($this->perform)(['do' => 'push', 'connection' => $connection, ...$body]);
    }

    /**
     * Sends one message to every connection of this program but `$exclude`; with `to: 'all'` to those of the whole server.
     *
     * A program that is no application has none of its own, and means all. The reply counts `delivered` and `dropped`.
     */
    public function broadcast(
        ?string $text = null,
        mixed $json = null,
        ?string $binary = null,
        ?int $exclude = null,
        ?string $to = null,
    ): ?array {
        $body = self::body(compact('text', 'json', 'binary'));
        return ($this->perform)(['do' => 'broadcast', ...$body, ...self::given(compact('exclude', 'to'))]);
    }

    /**
     * Sends to every subscriber of a channel but `$exclude`. The reply counts `delivered` and `dropped`.
     *
     * `$message` is any JSON value and arrives as a message of the channel protocol; `$text`, `$json` and `$binary`
     * arrive as they are.
     */
    public function publish(
        string $channel,
        mixed $message = null,
        ?string $text = null,
        mixed $json = null,
        ?string $binary = null,
        ?int $exclude = null,
    ): ?array {
        $body = self::body(compact('message', 'text', 'json', 'binary'));
        $given = self::given(compact('exclude'));
        return ($this->perform)(['do' => 'publish', 'channel' => $channel, ...$body, ...$given]);
    }

    /** Closes one connection, with 1000 unless `$code` says otherwise; `$reason` has at most 123 bytes. */
    public function disconnect(int $connection, ?int $code = null, ?string $reason = null): ?array
    {
        $given = self::given(compact('code', 'reason'));
        return ($this->perform)(['do' => 'disconnect', 'connection' => $connection, ...$given]);
    }

    /** Lets the client of a `handshake` become a WebSocket. `$subprotocol` is one of those that it offers. */
    public function accept(array $event, ?string $subprotocol = null, array $headers = []): ?array
    {
        $given = self::given(['subprotocol' => $subprotocol, 'headers' => $headers ?: null]);
        return ($this->perform)(['do' => 'accept', 'request' => $event['request'], ...$given]);
    }

    /** Answers a `handshake` with an HTTP status and a body, if one is given, instead of a WebSocket. */
    public function reject(
        array $event,
        int $status = 403,
        ?string $text = null,
        mixed $json = null,
        ?string $binary = null,
        array $headers = [],
    ): ?array {
        return $this->answerWith('reject', $event, $status, $headers, compact('text', 'json', 'binary'));
    }

    /** Answers a `request`. A header whose value is an array is sent once for each element. */
    public function respond(
        array $event,
        int $status = 200,
        ?string $text = null,
        mixed $json = null,
        ?string $binary = null,
        array $headers = [],
    ): ?array {
        return $this->answerWith('respond', $event, $status, $headers, compact('text', 'json', 'binary'));
    }

    /** Sends to another process: a side process by its name, a worker by its number. */
    public function send(string|int $to, ?string $text = null, ?string $binary = null): ?array
    {
        $target = is_string($to) ? ['process' => $to] : ['worker' => $to];
        return ($this->perform)(['do' => 'send', ...$target, ...self::body(compact('text', 'binary'))]);
    }

    private function answerWith(string $verb, array $event, int $status, array $headers, array $fields): ?array
    {
        $body = self::given($fields) === [] ? [] : self::body($fields);
        $given = self::given(['headers' => $headers ?: null]);
        $command = ['do' => $verb, 'request' => $event['request'], 'status' => $status, ...$given, ...$body];
        return ($this->perform)($command);
    }

    private static function given(array $fields): array
    {
        return array_filter($fields, fn (mixed $value): bool => $value !== null);
    }

    private static function body(array $fields): array
    {
        $body = self::given($fields);
        if (count($body) !== 1) {
            throw new \InvalidArgumentException('a message is exactly one of ' . implode(', ', array_keys($fields)));
        }
        return isset($body['binary']) ? ['binary' => base64_encode($body['binary'])] : $body;
    }
}

/** This program as the server sees it. Make one, register handlers, call run(). */
final class Plugin extends Commands
{
    public const PROTOCOL = 1;

    /** The longest command line where the server does not say another (`line_bytes_max` of its hello). */
    private const LINE_BYTES_MAX = 16 * 1024 * 1024;
    /** How long after SIGTERM the program goes on reading: the server's `stop` may stand behind other events. */
    private const QUIT_GRACE_S = 1.0;
    /** How long one wait is at most: a signal that comes just before it does not end it. */
    private const WAIT_S_MAX = 1.0;
    /** Of what a handler has thrown, how much goes to the log: it may quote a whole message. */
    private const REPORT_BYTES_MAX = 1000;
    private const READ_BYTES = 65536;
    private const JSON_FLAGS = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES
        | JSON_PRESERVE_ZERO_FRACTION;

    /** The commands once more: here they wait for the reply and return it. */
    public readonly Commands $ask;
    /** The name of this process in the configuration. */
    public readonly string $name;
    /** Which of `instances` this one is, from 0. */
    public readonly int $instance;
    /** What the server said of itself. Empty before run(). */
    public array $hello = [];

    /** @var resource */
    private $events;
    /** @var resource */
    private $commands;
    /** @var array<string, callable(array<string, mixed>): void> */
    private array $handlers = [];
    /** The beginning of a line whose end has not come, in pieces. */
    private array $unfinished = [];
    /** Events that were read and not handled. */
    private \SplQueue $arrived;
    private int $serial = 0;
    private ?int $awaited = null;
    private ?array $reply = null;
    /** Whether the last event has come. */
    private bool $isEnded = false;
    private float $quitAt = INF;

    /** Takes the descriptors to the server. `$replyTimeoutS` is how long `ask` waits for a reply at most. */
    public function __construct(private readonly float $replyTimeoutS = 30.0)
    {
        parent::__construct($this->write(...));
        $this->ask = new Commands($this->await(...));
        $this->name = getenv('WSMASTER_PLUGIN_NAME') ?: '';
        $this->instance = (int) getenv('WSMASTER_PLUGIN_INSTANCE');
        $this->arrived = new \SplQueue();
        $commandsFd = self::descriptor('WSMASTER_PLUGIN_COMMANDS_FD', 1);
        $this->events = fopen('php://fd/' . self::descriptor('WSMASTER_PLUGIN_EVENTS_FD', 0), 'r');
        $this->commands = fopen("php://fd/$commandsFd", 'w');
        stream_set_blocking($this->events, false);
        stream_set_blocking($this->commands, true);
        if ($commandsFd === 1) {
            // echo would write into the commands: what is printed goes to stderr instead.
            ob_start(function (string $printed): string {
                fwrite(STDERR, $printed);
                return '';
            }, 1);
        }
    }

    /** Registers the one handler of an event by its name in the protocol. */
    public function on(string $event, callable $handler): static
    {
        if (isset($this->handlers[$event])) {
            throw new \LogicException("$event has a handler already");
        }
        $this->handlers[$event] = $handler;
        return $this;
    }

    /** Calls `$handler($hello)` once, when the server has been told that this program is ready. */
    public function onStart(callable $handler): static
    {
        return $this->on('hello', $handler);
    }

    /** Calls `$handler($event)` when a client of this application asks to become a WebSocket: accept() or reject(). */
    public function onHandshake(callable $handler): static
    {
        return $this->on('handshake', $handler);
    }

    /** Calls `$handler($event)` for each HTTP request: respond(), now or later. Its body is `text` or `binary`. */
    public function onRequest(callable $handler): static
    {
        return $this->on('request', $handler);
    }

    /** Calls `$handler($event)` when a client has connected; with `again` if that was in an earlier life of this. */
    public function onOpen(callable $handler): static
    {
        return $this->on('open', $handler);
    }

    /** Calls `$handler($event)` for each message of a client: it has either `text` or `binary`. */
    public function onMessage(callable $handler): static
    {
        return $this->on('message', $handler);
    }

    /** Calls `$handler($event)` when a connection has ended, whoever ended it. */
    public function onClose(callable $handler): static
    {
        return $this->on('close', $handler);
    }

    /** Calls `$handler($event)` every `tick` of the configuration. */
    public function onTick(callable $handler): static
    {
        return $this->on('tick', $handler);
    }

    /** Calls `$handler($event)` for each message of another process: it has either `text` or `binary`. */
    public function onProcess(callable $handler): static
    {
        return $this->on('process', $handler);
    }

    /** Calls `$handler($event)` once, last of all. `timeout_ms` is what the server allows, 0 if it did not ask. */
    public function onStop(callable $handler): static
    {
        return $this->on('stop', $handler);
    }

    /** Everything the server tells of a connection, null if there is none. Throws CommandFailed without answer. */
    public function info(int $connection): ?array
    {
        $reply = $this->await(['do' => 'info', 'connection' => $connection]);
        return ($reply['result'] ?? '') === 'no_such_connection' ? null : self::answer($reply)['info'];
    }

    /** Whether a connection is open. Throws CommandFailed without answer. */
    public function exists(int $connection): bool
    {
        return self::answer($this->await(['do' => 'exists', 'connection' => $connection]))['exists'];
    }

    /** Writes to the server's log. `$level` is error, warn, info, debug or trace. */
    public function log(string $text, string $level = 'info'): void
    {
        // A report must not fail for bytes that are not UTF-8.
        $this->write(['do' => 'log', 'level' => $level, 'text' => $text], JSON_INVALID_UTF8_SUBSTITUTE);
    }

    /**
     * Serves until the server says stop, goes away, or SIGTERM or SIGINT comes; then returns.
     *
     * A handler that throws is logged, and the next event is handled.
     */
    public function run(): void
    {
        if (function_exists('pcntl_async_signals')) {
            pcntl_async_signals(true);
            $quit = function (): void {
                $this->quitAt = min($this->quitAt, self::now() + self::QUIT_GRACE_S);
            };
            pcntl_signal(SIGTERM, $quit);
            pcntl_signal(SIGINT, $quit);
        }
        do {
            $event = $this->next();
            if ($event['event'] === 'hello') {
                $this->greet($event);
            }
            $this->call($event);
        } while ($event['event'] !== 'stop');
    }

    /** The next event in the order of the server. The last one is `stop`, made up if the server has not sent it. */
    private function next(): array
    {
        while (self::now() < $this->quitAt) {
            if (!$this->arrived->isEmpty()) {
                return $this->arrived->dequeue();
            }
            if ($this->isEnded) {
                break;
            }
            $this->read($this->quitAt);
        }
        return ['event' => 'stop', 'timeout_ms' => 0];
    }

    /** Answers the first line, and asks for those events only that have a handler. */
    private function greet(array $hello): void
    {
        if (($hello['protocol'] ?? null) !== self::PROTOCOL) {
            fprintf(STDERR, "wsmaster.php speaks plugin protocol %d, the server another\n", self::PROTOCOL);
            exit(1);
        }
        $this->hello = $hello;
        $offered = $hello['events'] ?? [];
        $wanted = array_values(array_filter($offered, fn (string $name): bool => isset($this->handlers[$name])));
        // The server compares this with its configuration: nobody comes in past a handler of handshakes that is not asked.
        $handles = array_values(array_diff(array_keys($this->handlers), ['hello']));
        $this->write(['do' => 'ready', 'protocol' => self::PROTOCOL, 'events' => $wanted, 'handles' => $handles]);
        foreach (['request', 'open', 'message', 'close'] as $name) {
            if (isset($this->handlers[$name]) && !in_array($name, $offered, true)) {
                $this->log("the handler of $name is never called: `events` of the configuration is without it", 'warn');
            }
        }
        if (isset($this->handlers['tick']) && empty($hello['tick_ms'])) {
            $this->log('the handler of tick is never called: the configuration has no `tick`', 'warn');
        }
    }

    private function call(array $event): void
    {
        $handler = $this->handlers[$event['event']] ?? null;
        if ($handler === null) {
            if ($event['event'] === 'dropped') {
                $this->log("{$event['count']} events were lost: this program reads too slowly", 'warn');
            }
            return;
        }
        try {
            $handler($event);
        } catch (\Throwable $error) { // Whatever it is: it concerns this event, and the next one is another.
            fwrite(STDERR, "$error\n");
            $what = substr($error::class . ': ' . $error->getMessage(), 0, self::REPORT_BYTES_MAX);
            $place = basename($error->getFile()) . ':' . $error->getLine();
            $this->log("handler of {$event['event']}: $what ($place)", 'error');
            if (isset($event['request'])) {
                // If it was answered before, this is passed over.
                $this->respond($event, 500, 'the application made a mistake');
            }
        }
    }

    /** Sends a command and reads on until its reply is there. */
    private function await(array $command): array
    {
        $this->serial += 1;
        $this->awaited = $this->serial;
        $this->reply = null;
        $this->write([...$command, 'id' => $this->serial]);
        $deadline = self::now() + $this->replyTimeoutS;
        while ($this->reply === null && !$this->isEnded && self::now() < $deadline) {
            $this->read($deadline);
        }
        $this->awaited = null;
        return $this->reply ?? ['success' => false, 'result' => 'unanswered', 'error' => 'the server did not reply'];
    }

    /** Writes one line, and waits while the server does not take it. A server that is gone takes everything. */
    private function write(array $command, int $flags = 0): ?array
    {
        if ($this->hello === []) {
            throw new \LogicException('commands can be sent once run() has called the first handler');
        }
        $line = json_encode($command, self::JSON_FLAGS | $flags) . "\n";
        $limit = $this->hello['line_bytes_max'] ?? self::LINE_BYTES_MAX;
        if (strlen($line) > $limit) {
            throw new \LengthException(sprintf('a command of %d bytes; the server takes %d', strlen($line), $limit));
        }
        while ($line !== '') {
            $count = @fwrite($this->commands, $line);
            if ($count === false || $count === 0) {
                $this->isEnded = true;
                break;
            }
            $line = substr($line, $count);
        }
        return null;
    }

    /** Waits for the server or for a signal, at most until `$deadline`, and takes in what there is. */
    private function read(float $deadline): void
    {
        $patience = max(0.0, min(self::WAIT_S_MAX, $deadline - self::now()));
        $ready = [$this->events];
        $none = null;
        // A signal makes it fail, with a warning that is none.
        if (!@stream_select($ready, $none, $none, (int) $patience, (int) (fmod($patience, 1.0) * 1e6))) {
            return;
        }
        $data = @fread($this->events, self::READ_BYTES);
        if ($data === false || ($data === '' && feof($this->events))) {
            $this->isEnded = true;
            return;
        }
        $pieces = explode("\n", $data);
        $rest = array_pop($pieces);
        foreach ($pieces as $piece) {
            $this->take(implode('', $this->unfinished) . $piece);
            $this->unfinished = [];
        }
        $this->unfinished[] = $rest;
    }

    /** Sorts one line: the awaited reply, or an event for later. */
    private function take(string $line): void
    {
        try {
            $event = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
            if (!is_string($event['event'] ?? null)) {
                throw new \UnexpectedValueException('no "event"');
            }
            if (isset($event['binary'])) {
                $bytes = base64_decode($event['binary'], true);
                $event['binary'] = $bytes === false ? throw new \UnexpectedValueException('no base64') : $bytes;
            }
        } catch (\Exception $error) {
            fwrite(STDERR, "not a line of the plugin protocol: {$error->getMessage()}\n");
            return;
        }
        if ($event['event'] !== 'reply') {
            $this->arrived->enqueue($event);
        } elseif (!isset($event['id'])) {
            fwrite(STDERR, 'a command was refused: ' . ($event['error'] ?? '') . "\n");
        } elseif ($event['id'] === $this->awaited) {
            unset($event['event'], $event['id']);
            $this->reply = $event;
        }
    }

    private static function answer(array $reply): array
    {
        return $reply['success'] ? $reply : throw new CommandFailed($reply);
    }

    private static function descriptor(string $variable, int $otherwise): int
    {
        $value = getenv($variable);
        return $value === false ? $otherwise : (int) $value;
    }

    /** Seconds of a clock that nobody sets. */
    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}
