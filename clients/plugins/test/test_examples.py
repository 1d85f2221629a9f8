"""The examples, with a host instead of the server."""

from __future__ import annotations

import hmac
import json
import os
import pathlib
import tempfile
import time
import unittest

from host import Host
from languages import EXAMPLES, interpreter


class Scratch(unittest.TestCase):
    """A directory for each test."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)


class UserQueue(Scratch):
    def start(self) -> Host:
        command = [interpreter("python"), str(EXAMPLES / "python" / "user_queue.py")]
        host = Host(command, environment={"QUEUE_SPOOL": str(self.directory)})
        host.greet(events=["message", "close"], tick_ms=200)
        return host

    def queue(self, user: int, name: str, content: str) -> pathlib.Path:
        file = self.directory / str(user) / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
        return file

    def connect(self, host: Host, connection: int, user: int) -> None:
        host.message(json.dumps({"event": "CONNECT", "data": {"user_id": user}}), connection)
        answer = {"event": "CONNECTED", "data": {"user_id": user}}
        host.expect({"do": "push", "connection": connection, "json": answer})

    def tick(self, host: Host) -> None:
        host.say({"event": "tick", "number": 1})

    def answer_push(self, host: Host, expected: object, result: str = "delivered") -> int:
        command = host.hear()
        self.assertEqual((command["do"], command["json"]), ("push", expected))
        host.reply(command, success=result == "delivered", result=result)
        return command["connection"]

    def settle(self, host: Host) -> None:
        """Waits until all that was said before has been handled: a bad CONNECT is answered at once."""
        host.message('{"event":"CONNECT","data":{"user_id":"500"}}', 99)
        self.assertEqual(host.hear()["json"]["event"], "ERROR")

    def test_pushes_in_order_and_deletes_what_was_delivered(self):
        second = self.queue(500, "2", '{"event":"B","data":{}}')
        first = self.queue(500, "1", '{"event":"A","data":{}}')
        with self.start() as host:
            self.tick(host)
            self.settle(host)
            self.assertTrue(first.exists(), "nobody is there yet")
            self.connect(host, 7, 500)
            self.tick(host)
            self.answer_push(host, {"event": "A", "data": {}})
            self.answer_push(host, {"event": "B", "data": {}})
            self.settle(host)
            self.assertFalse(first.exists() or second.exists())

    def test_keeps_what_nobody_got(self):
        file = self.queue(500, "1", "1")
        with self.start() as host:
            self.connect(host, 7, 500)
            self.tick(host)
            self.answer_push(host, 1, "outbox_full")
            self.assertIn("outbox_full", host.hear()["text"])
            self.assertTrue(file.exists())
            self.tick(host)
            self.answer_push(host, 1)
            self.settle(host)
            self.assertFalse(file.exists())

    def test_reaches_every_connection_of_the_user_and_no_other(self):
        with self.start() as host:
            for connection, user in ((7, 500), (8, 500), (9, 501)):
                self.connect(host, connection, user)
            self.queue(500, "1", "1")
            self.tick(host)
            self.assertEqual({self.answer_push(host, 1), self.answer_push(host, 1)}, {7, 8})
            self.settle(host)

    def test_forgets_connections_that_are_gone(self):
        with self.start() as host:
            for connection in (7, 8):
                self.connect(host, connection, 500)
            host.say({"event": "close", "connection": 7, "code": 1000, "reason": "", "by": "peer"})
            file = self.queue(500, "1", "1")
            self.tick(host)
            self.assertEqual(self.answer_push(host, 1, "no_such_connection"), 8)
            self.tick(host)
            self.settle(host)
            self.assertTrue(file.exists())
            self.assertEqual(os.listdir(self.directory / "connections"), [])

    def test_a_successor_knows_the_connections(self):
        with self.start() as host:
            for connection in (7, 8):
                self.connect(host, connection, 500)
            host.say({"event": "stop", "timeout_ms": 5000})
            host.expect_end()
        self.queue(500, "1", "1")
        with self.start() as host:
            for _ in range(2):
                question = host.hear()
                host.reply(question, success=True, exists=question["connection"] == 8)
            self.tick(host)
            self.assertEqual(self.answer_push(host, 1), 8)
            self.settle(host)

    def test_puts_aside_what_is_broken(self):
        file = self.queue(500, "1", "{")
        with self.start() as host:
            self.connect(host, 7, 500)
            self.tick(host)
            self.assertIn("1.json", host.hear()["text"])
            self.settle(host)
            self.assertTrue(file.with_name("1.json.bad").exists())

    def test_a_user_id_is_no_path_and_other_messages_are_not_for_it(self):
        with self.start() as host:
            for text in ("", "[", "[]", "1", '{"event":"CONNECT"}', '{"event":"X"}', "[" * 100_000):
                host.message(text)
            for user in ('"../../etc"', "true", "-1", "1.5", "9223372036854775808"):
                host.message(f'{{"event":"CONNECT","data":{{"user_id":{user}}}}}')
                self.assertEqual(host.hear()["json"]["event"], "ERROR")
            self.settle(host)


class Bot(unittest.TestCase):
    def start(self) -> Host:
        host = Host([interpreter("node"), str(EXAMPLES / "node" / "bot.mjs")])
        host.greet(events=["message"], tick_ms=0)
        return host

    def ask_time(self, host: Host, channel: str = "chat.room.1") -> dict:
        """Asks for the time and hears the bot's question about who asked."""
        host.message(json.dumps({"action": "message", "data": {"channel": channel, "message": "!time"}}))
        question = host.hear()
        self.assertEqual((question["do"], question["connection"]), ("info", 7))
        return question

    def test_answers_where_it_was_asked(self):
        with self.start() as host:
            host.reply(self.ask_time(host), success=True, info={"channels": ["chat.room.1"]})
            answer = host.hear()
            self.assertEqual((answer["do"], answer["channel"]), ("publish", "chat.room.1"))
            self.assertRegex(answer["message"]["text"], r"^It is \d{4}-\d\d-\d\dT.*Z\.$")

    def test_does_not_answer_who_is_not_there(self):
        with self.start() as host:
            host.reply(self.ask_time(host), success=True, info={"channels": ["elsewhere"]})
            host.reply(self.ask_time(host), success=False, result="no_such_connection", error="gone")
            host.expect_silence()

    def test_answers_once_in_a_while(self):
        with self.start() as host:
            host.reply(self.ask_time(host), success=True, info={"channels": ["chat.room.1"]})
            host.hear()
            host.message('{"action":"message","data":{"channel":"chat.room.1","message":"!time"}}')
            host.expect_silence()
            self.ask_time(host, "chat.room.2")

    def test_is_not_confused_by_what_clients_send(self):
        with self.start() as host:
            for text in ("", "!time", "null", "[]", '{"action":"message"}'):
                host.message(text)
            host.message('{"action":"message","data":{"channel":"a","message":1}}')
            host.say({"event": "message", "connection": 7, "binary": "AAA="})
            host.expect_silence()


class Notify(Scratch):
    def start(self) -> Host:
        self.fifo = self.directory / "notify.fifo"
        environment = {"NOTIFY_FIFO": str(self.fifo), "NOTIFY_CHANNEL": "news"}
        host = Host([interpreter("php"), str(EXAMPLES / "php" / "notify.php")], environment=environment)
        host.greet(events=[], tick_ms=200)
        return host

    def write(self, data: bytes) -> None:
        with open(self.fifo, "wb", buffering=0) as fifo:
            fifo.write(data)

    def expect_news(self, host: Host, *texts: str) -> None:
        host.expect(*({"do": "publish", "channel": "news", "message": text} for text in texts))

    def test_publishes_lines_when_they_are_whole(self):
        with self.start() as host:
            self.write("one\r\n\nzwei ü\nthr".encode())
            host.say({"event": "tick", "number": 1})
            self.expect_news(host, "one", "zwei ü")
            self.write(b"ee\n")
            host.say({"event": "tick", "number": 2})
            self.expect_news(host, "three")

    def test_leaves_out_what_cannot_be_sent(self):
        with self.start() as host:
            self.write(b"\xff\xfe\nnext\n")
            host.say({"event": "tick", "number": 1})
            self.assertIn("left out a line", host.hear()["text"])
            self.expect_news(host, "next")
            for number in range(3):
                self.write(b"x" * 40_000)
                host.say({"event": "tick", "number": number})
                host.expect_silence(0.2)
            self.write(b"\nlast\n")
            host.say({"event": "tick", "number": 4})
            self.assertIn("left out a line", host.hear()["text"])
            self.expect_news(host, "last")

    def test_publishes_the_rest_when_it_stops(self):
        with self.start() as host:
            self.write(b"last\n")
            host.say({"event": "stop", "timeout_ms": 5000})
            self.expect_news(host, "last")
            host.expect_end()


class Poll(Scratch):
    def start(self) -> Host:
        environment = {"POLL_OPTIONS": "tea, coffee", "POLL_FILE": str(self.directory / "poll.json")}
        host = Host([interpreter("python"), str(EXAMPLES / "python" / "poll.py")], environment=environment)
        host.greet(events=["open", "message", "close", "request"], tick_ms=200)
        return host

    def standing(self, voters: int, tea: int, coffee: int) -> dict:
        return {"voters": voters, "votes": {"tea": tea, "coffee": coffee}}

    def expect_standing(self, host: Host, standing: dict, *connections: int) -> None:
        host.say({"event": "tick", "number": 1})
        for connection in connections:
            heard = host.hear()
            self.assertEqual((heard["connection"], json.loads(heard["text"])), (connection, standing))

    def test_everybody_sees_every_vote(self):
        with self.start() as host:
            for connection in (7, 8):
                host.open("/poll", connection=connection)
                told = host.hear()["json"]
                self.assertEqual(told, {"options": ["tea", "coffee"], **self.standing(connection - 6, 0, 0)})
            self.expect_standing(host, self.standing(2, 0, 0), 7, 8)
            host.message("tea", 7)
            host.message("coffee", 8)
            host.message("tea", 8)
            host.message("beer", 8)
            self.assertIn("error", host.hear()["json"])
            self.expect_standing(host, self.standing(2, 2, 0), 7, 8)
            host.close(7)
            self.expect_standing(host, self.standing(1, 1, 0), 8)
            host.say({"event": "tick", "number": 2})
            host.expect_silence()

    def test_votes_by_http_stay(self):
        with self.start() as host:
            host.request("/poll", "POST", text="coffee\n")
            self.assertEqual((host.hear()["status"]), 201)
            host.request("/poll", "POST", text="beer")
            self.assertEqual((host.hear()["status"]), 400)
            host.request("/poll", "POST", binary="AAE=")
            self.assertEqual((host.hear()["status"]), 400)
            host.request("/poll", "PUT")
            self.assertEqual((host.hear()["status"]), 405)
        with self.start() as host:
            host.request("/poll")
            answer = host.hear()
            self.assertEqual((answer["status"], answer["json"]), (200, self.standing(0, 0, 1)))


class Rooms(unittest.TestCase):
    def start(self) -> Host:
        host = Host([interpreter("node"), str(EXAMPLES / "node" / "rooms.mjs")])
        host.greet(events=["handshake", "open", "message", "close", "request"], tick_ms=0)
        return host

    def enter(self, host: Host, connection: int, name: str, room: str = "kitchen") -> None:
        host.open(f"/rooms/{room}", f"name={name}", connection)

    def expect_text(self, host: Host, told: dict, *connections: int) -> None:
        for connection in connections:
            heard = host.hear()
            self.assertEqual((heard["connection"], json.loads(heard["text"])), (connection, told))

    def test_the_door(self):
        with self.start() as host:
            for path, query in (("/rooms/kitchen", ""), ("/rooms/kitchen", "name=%00"), ("/rooms/", "name=ann")):
                host.handshake(query, path=path)
                self.assertEqual(host.hear()["status"], 400)
            host.handshake("name=ann", path="/rooms/kitchen")
            host.expect({"do": "accept", "request": 1})
            self.enter(host, 7, "ann")
            host.hear()
            host.handshake("name=ann", path="/rooms/kitchen")
            self.assertEqual(host.hear()["status"], 409)
            host.handshake("name=ann", path="/rooms/garden")
            host.expect({"do": "accept", "request": 1})
            self.enter(host, 8, "ann")
            self.assertEqual((host.hear())["do"], "disconnect")

    def test_a_conversation(self):
        with self.start() as host:
            self.enter(host, 7, "ann")
            host.expect({"do": "push", "connection": 7, "json": {"people": ["ann"], "said": []}})
            host.message("hello", 7)
            said = {"from": "ann", "text": "hello"}
            self.expect_text(host, said, 7)
            self.enter(host, 8, "b%C3%A9a")
            self.expect_text(host, {"entered": "béa"}, 7)
            host.expect({"do": "push", "connection": 8, "json": {"people": ["ann", "béa"], "said": [said]}})
            self.enter(host, 9, "carl", "garden")
            host.hear()
            host.message("hi", 8)
            self.expect_text(host, {"from": "béa", "text": "hi"}, 7, 8)
            host.close(7)
            self.expect_text(host, {"left": "ann"}, 8)
            host.request("/rooms/")
            self.assertEqual(host.hear()["json"], {"rooms": {"kitchen": 1, "garden": 1}})
            host.close(8)
            host.close(9)
            host.request("/rooms/")
            self.assertEqual(host.hear()["json"], {"rooms": {}})

    def test_a_successor_is_told_who_is_there(self):
        with self.start() as host:
            host.open("/rooms/kitchen", "name=ann", 7, again=True)
            host.expect_silence()
            host.message("still here", 7)
            self.expect_text(host, {"from": "ann", "text": "still here"}, 7)


class Inbox(unittest.TestCase):
    SECRET, KEY = "a secret of the site", "a key of the programs"

    def start(self) -> Host:
        environment = {"INBOX_SECRET": self.SECRET, "INBOX_KEY": self.KEY}
        host = Host([interpreter("php"), str(EXAMPLES / "php" / "inbox.php")], environment=environment)
        host.greet(events=["handshake", "open", "message", "close", "request"], tick_ms=0)
        return host

    def token(self, user: int, until: int, secret: str = SECRET) -> str:
        signature = hmac.new(secret.encode(), f"{user}.{until}".encode(), "sha256").hexdigest()
        return f"token={user}.{until}.{signature}"

    def test_the_door(self):
        with self.start() as host:
            later, earlier = int(time.time()) + 60, int(time.time()) - 60
            for query, verb in (
                (self.token(500, later), "accept"),
                (self.token(500, earlier), "reject"),
                (self.token(500, later, "another secret of 16"), "reject"),
                (self.token(500, later).replace("=500", "=501"), "reject"),
                ("", "reject"),
                ("token[]=1", "reject"),
            ):
                host.handshake(query, path="/inbox")
                self.assertEqual(host.hear()["do"], verb, query)

    def post(self, host: Host, user: int, text: str, key: str = KEY) -> None:
        headers = {"authorization": f"Bearer {key}"}
        path = f"/inbox/{user}"
        facts = {"target": path, "path": path, "query": "", "headers": headers}
        host.say({"event": "request", "request": 1, "method": "POST", **facts, "text": text, "timeout_ms": 1000})

    def test_reaches_every_connection_of_the_user_and_says_so(self):
        with self.start() as host:
            # Tokens may be over by the time that a successor is told of connections.
            for connection, user in ((7, 500), (8, 500), (9, 501)):
                host.open("/inbox", self.token(user, 1), connection, again=True)
            self.post(host, 500, '{"mail":1}')
            for result in ("delivered", "outbox_full"):
                push = host.hear()
                self.assertIn(push["connection"], (7, 8))
                self.assertEqual(push["text"], '{"mail":1}')
                host.reply(push, success=result == "delivered", result=result)
            answer = host.hear()
            self.assertEqual((answer["status"], answer["json"]), (200, {"delivered": 1}))
            host.close(9)
            self.post(host, 501, "nobody")
            answer = host.hear()
            self.assertEqual((answer["status"], answer["json"]), (404, {"delivered": 0}))

    def test_wants_its_key(self):
        with self.start() as host:
            self.post(host, 500, "hello", "another")
            self.assertEqual(host.hear()["status"], 401)
            host.request("/inbox/500", "POST", text="hello")
            self.assertEqual(host.hear()["status"], 401)

    def test_wants_secrets_that_are_some(self):
        command = [interpreter("php"), str(EXAMPLES / "php" / "inbox.php")]
        with Host(command, environment={"INBOX_SECRET": "short", "INBOX_KEY": self.KEY}) as host:
            self.assertEqual(host.process.wait(10), 1)
            self.assertIn("16 characters", host.output())


if __name__ == "__main__":
    unittest.main()
