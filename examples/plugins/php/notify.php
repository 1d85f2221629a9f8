<?php

/**
 * Publishes every line that is written to a FIFO: `echo 'Version 1.2 is out' > /run/notify.fifo` reaches everybody who
 * has subscribed to the channel.
 *
 * Who writes faster than it reads waits, as with every FIFO. Lines that are written while it does not run wait with
 * their writers.
 *
 *     [[process]]
 *     name = "notify"
 *     command = "php"
 *     args = ["examples/plugins/php/notify.php"]
 *     env = { NOTIFY_FIFO = "/run/notify.fifo", NOTIFY_CHANNEL = "news" }
 *     events = []
 *     tick = "200ms"
 */

declare(strict_types=1);

use Wsmaster\Plugin;

require __DIR__ . '/../../../clients/plugins/php/wsmaster.php';

const LINE_BYTES_MAX = 65536;
const READ_BYTES = 8192;
/** In one tick: other events wait meanwhile. */
const READS_PER_TICK_MAX = 128;

$path = getenv('NOTIFY_FIFO') ?: 'notify.fifo';
$channel = getenv('NOTIFY_CHANNEL') ?: 'news';

if (!file_exists($path) && !posix_mkfifo($path, 0600)) {
    fwrite(STDERR, "$path: cannot be made: " . posix_strerror(posix_get_last_error()) . "\n");
    exit(1);
}
if (filetype($path) !== 'fifo') {
    fwrite(STDERR, "$path: is no FIFO\n");
    exit(1);
}
// Also open for writing: it does not wait for a writer then, and does not end with the last one.
$fifo = fopen($path, 'r+');
if ($fifo === false) {
    exit(1);
}
stream_set_blocking($fifo, false);

$plugin = new Plugin();
$unfinished = '';

$publish = function (string $line) use ($plugin, $channel): void {
    $line = rtrim($line, "\r");
    if ($line === '') {
        return;
    }
    if (strlen($line) > LINE_BYTES_MAX || !preg_match('//u', $line)) {
        $plugin->log('left out a line: ' . LINE_BYTES_MAX . ' bytes of UTF-8 at most', 'warn');
        return;
    }
    $plugin->publish($channel, $line);
};

$read = function () use ($fifo, $publish, &$unfinished): void {
    for ($reads = 0; $reads < READS_PER_TICK_MAX; $reads++) {
        $data = fread($fifo, READ_BYTES);
        if ($data === false || $data === '') {
            return;
        }
        $lines = explode("\n", $unfinished . $data);
        $rest = array_pop($lines);
        // Of a line that is too long, just enough is kept to know it.
        $unfinished = substr($rest, 0, LINE_BYTES_MAX + 1);
        array_map($publish, $lines);
    }
};

$plugin->onTick($read);
$plugin->onStop($read);
$plugin->run();
