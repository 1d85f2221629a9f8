<?php

/**
 * An inbox for signed-in users as an application of its own: your site signs a token, the browser connects with it, and
 * any program of yours reaches the user by HTTP, wherever and however often she is connected.
 *
 *     ws://HOST/inbox?token=500.1893456000.9a0b...        500: the user; until when, in seconds since 1970; the signature
 *     curl -H 'Authorization: Bearer KEY' -d '{"mail":1}' http://HOST/inbox/500      {"delivered":2}
 *
 * The signature is that of your site: hash_hmac('sha256', "$user.$until", SECRET). Who comes without a good one gets 401
 * instead of a WebSocket. When this program is started again the server tells it who is connected.
 *
 *     [[route]]
 *     path = "/inbox/*"
 *     app = "plugin:inbox"
 *
 *     [[process]]
 *     name = "inbox"
 *     command = "php"
 *     args = ["examples/plugins/php/inbox.php"]
 *     env = { INBOX_SECRET = "of at least 16 characters", INBOX_KEY = "another one of 16" }
 *     events = ["handshake"]
 *
 * One process knows all connections of a user: with `instances` they would be with different ones.
 */

declare(strict_types=1);

use Wsmaster\Plugin;

require __DIR__ . '/../../../clients/plugins/php/wsmaster.php';

const SECRET_BYTES_MIN = 16;

$secret = getenv('INBOX_SECRET') ?: '';
$key = getenv('INBOX_KEY') ?: '';
if (min(strlen($secret), strlen($key)) < SECRET_BYTES_MIN) {
    fwrite(STDERR, 'INBOX_SECRET and INBOX_KEY must have ' . SECRET_BYTES_MIN . " characters at least\n");
    exit(1);
}

$plugin = new Plugin();
/** Of each user the connections, as keys. */
$inbox = [];
/** Of each connection its user. */
$userOf = [];

/** The user that a query names, if the signature is good. It may be over for one who is connected already. */
$user = function (string $query, bool $atTheDoor) use ($secret): ?int {
    parse_str($query, $fields);
    $token = $fields['token'] ?? null;
    if (!is_string($token) || !preg_match('/^(\d{1,18})\.(\d{1,12})\.([0-9a-f]{64})$/D', $token, $parts)) {
        return null;
    }
    [, $user, $until, $signature] = $parts;
    $isGood = hash_equals(hash_hmac('sha256', "$user.$until", $secret), $signature);
    return $isGood && (!$atTheDoor || (int) $until > time()) ? (int) $user : null;
};

$plugin->onHandshake(function (array $event) use ($plugin, $user): void {
    if ($user($event['query'], true) === null) {
        $plugin->reject($event, 401, 'the token is missing, wrong or too old');
    } else {
        $plugin->accept($event);
    }
});

$plugin->onOpen(function (array $event) use ($user, &$inbox, &$userOf): void {
    $of = $user($event['query'], false);
    if ($of !== null) {
        $userOf[$event['connection']] = $of;
        $inbox[$of][$event['connection']] = true;
    }
});

$plugin->onClose(function (array $event) use (&$inbox, &$userOf): void {
    $of = $userOf[$event['connection']] ?? null;
    unset($userOf[$event['connection']], $inbox[$of][$event['connection']]);
    if ($of !== null && $inbox[$of] === []) {
        unset($inbox[$of]);
    }
});

$plugin->onRequest(function (array $event) use ($plugin, $key, &$inbox): void {
    $given = $event['headers']['authorization'] ?? '';
    if (!hash_equals("Bearer $key", $given)) {
        $plugin->respond($event, 401, headers: ['WWW-Authenticate' => 'Bearer realm="inbox"']);
        return;
    }
    if (!preg_match('#^/inbox/(\d{1,18})$#D', $event['path'], $parts) || $event['method'] !== 'POST') {
        $plugin->respond($event, 404, json: ['error' => 'POST to /inbox/USER']);
        return;
    }
    $text = $event['text'] ?? null;
    $delivered = 0;
    foreach (array_keys($text === null ? [] : $inbox[(int) $parts[1]] ?? []) as $connection) {
        // Whoever queues a message wants to know whether it found somebody.
        $delivered += (int) ($plugin->ask->push($connection, $text)['result'] === 'delivered');
    }
    $plugin->respond($event, $delivered > 0 ? 200 : 404, json: ['delivered' => $delivered]);
});

$plugin->run();
