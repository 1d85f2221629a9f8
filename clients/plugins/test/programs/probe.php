<?php

// What the tests talk to: every handler and every command of the PHP SDK. The same program as probe.py and probe.mjs.

declare(strict_types=1);

use Wsmaster\CommandFailed;
use Wsmaster\Plugin;

require __DIR__ . '/../../php/wsmaster.php';

$plugin = new Plugin((float) (getenv('PROBE_REPLY_TIMEOUT_S') ?: 30));
$asksAtStop = false;
$partsAtLength = false;

$words = [
    'kinds' => function (int $connection) use ($plugin): void {
        $plugin->push($connection, json: ['a' => [1, 2.5, 'ü/', null, true]]);
        $plugin->broadcast('to all');
        $plugin->broadcast(binary: "\x00\xff", exclude: $connection);
        $plugin->publish('chat.room.1', ['any' => ['JSON']]);
        $plugin->publish('chat.room.1', text: 'raw', exclude: $connection);
        $plugin->disconnect($connection);
        $plugin->disconnect($connection, 4000, 'enough');
        $plugin->send('other', 'to a process');
        $plugin->send(0, binary: "\x01");
        $plugin->log('careful', 'warn');
    },
    'ask' => function (int $connection) use ($plugin): void {
        $plugin->log('asked ' . $plugin->ask->push($connection, 'question')['result']);
    },
    'info' => function (int $connection) use ($plugin): void {
        try {
            $known = $plugin->info($connection);
            $plugin->log('info ' . ($known === null ? 'none' : $known['worker']));
            $plugin->log('exists ' . json_encode($plugin->exists($connection)));
        } catch (CommandFailed $error) {
            $plugin->log('failed ' . $error->reply['result']);
        }
    },
    'fail' => fn () => throw new ValueError('boom'),
    'print' => function () use ($plugin): void {
        echo "printed\n";
        $plugin->log('has printed');
    },
    'flood' => function (int $connection) use ($plugin): void {
        for ($number = 0; $number < 2000; $number++) {
            $plugin->push($connection, "$number " . str_repeat('x', 4096));
        }
    },
    'long' => fn (int $connection) => $plugin->push($connection, str_repeat('x', 2000)),
    'nothing' => fn (int $connection) => $plugin->push($connection),
    'goodbye' => function () use (&$asksAtStop): void {
        $asksAtStop = true;
    },
    'part' => function () use (&$partsAtLength): void {
        $partsAtLength = true;
    },
];

$plugin->onStart(function (array $hello) use ($plugin): void {
    if ($plugin->name !== 'probe' || $plugin->instance !== 2 || $plugin->hello !== $hello) {
        $plugin->log('wrong facts');
    }
});
$handshake = function (array $event) use ($plugin): void {
    if ($event['query'] === 'accept') {
        $plugin->accept($event);
    } elseif ($event['query'] === 'choose') {
        $headers = ['X-One' => '1', 'X-Two' => ['2', '3']];
        $reply = $plugin->ask->accept($event, $event['subprotocols'][1], $headers);
        $plugin->log('accepted ' . ($reply['result'] ?? json_encode($reply['success'])));
    } elseif ($event['query'] === 'fail') {
        throw new ValueError('boom');
    } elseif ($event['query'] === 'json') {
        $plugin->reject($event, 401, json: ['who' => 'you'], headers: ['X-One' => '1']);
    } else {
        $plugin->reject($event);
    }
};
if (getenv('PROBE_OPEN_DOOR') === false) {
    $plugin->onHandshake($handshake);
}
$plugin->onRequest(function (array $event) use ($plugin): void {
    if ($event['path'] === '/fail') {
        throw new ValueError('boom');
    } elseif ($event['path'] === '/nothing') {
        $plugin->respond($event, 204);
    } elseif (isset($event['binary'])) {
        $plugin->respond($event, 201, binary: strrev($event['binary']), headers: ['Content-Type' => 'image/png']);
    } else {
        $plugin->respond($event, text: "{$event['method']} {$event['text']}");
    }
});
$plugin->onOpen(fn (array $event) => $plugin->log(
    "open {$event['connection']} {$event['address']} {$event['headers']['host']}",
));
$plugin->onMessage(function (array $event) use ($plugin, $words): void {
    if (isset($event['binary'])) {
        $plugin->push($event['connection'], binary: strrev($event['binary']));
    } elseif (isset($words[$event['text']])) {
        $words[$event['text']]($event['connection']);
    } else {
        $plugin->push($event['connection'], $event['text']);
    }
});
$plugin->onClose(fn (array $event) => $plugin->log(
    "close {$event['connection']} " . json_encode($event['code']) . " {$event['by']}",
));
$plugin->onTick(fn (array $event) => $plugin->log("tick {$event['number']}"));
$plugin->onProcess(fn (array $event) => $plugin->log("process {$event['from']} {$event['text']}"));
$plugin->on('worker_error', fn (array $event) => $plugin->log("worker_error {$event['how']}"));
$plugin->onStop(function (array $event) use ($plugin, &$asksAtStop, &$partsAtLength): void {
    if ($asksAtStop) {
        $plugin->log('goodbye to ' . $plugin->ask->broadcast('goodbye')['delivered']);
    }
    if ($partsAtLength) {
        $plugin->broadcast(str_repeat('x', 1 << 20));
    }
    $plugin->log("stop {$event['timeout_ms']}");
});
$plugin->run();
