"""What every SDK must do, once for each language: the probe programs are the same, so the tests are too."""

from __future__ import annotations

import base64
import json
import time
import unittest

from host import HELLO, Host
from languages import PROGRAMS, interpreter

LARGEST_ID = 2**53 - 1
STOP = {"event": "stop", "timeout_ms": 5000}


class Sdk:
    """The tests. A subclass says which language."""

    language: str
    probe: str
    # Whether a handler that waits for a reply keeps the next event waiting.
    handles_one_event_at_a_time = True
    # Whether it can keep the descriptors from the programs that it starts.
    keeps_descriptors_to_itself = True

    @classmethod
    def setUpClass(cls):
        cls.command = [interpreter(cls.language), str(PROGRAMS / cls.probe)]

    def start(self, greeted: bool = True, **options) -> Host:
        host = Host(self.command, **options)
        if greeted:
            host.greet()
        return host

    def test_asks_for_the_events_that_have_a_handler(self):
        with self.start(greeted=False) as host:
            kinds = ["open", "message", "close", "handshake", "request"]
            ready = host.greet(events=[*kinds, "worker_start", "worker_error"])
            self.assertEqual(ready["events"], [*kinds, "worker_error"])
            host.expect_silence()

    def test_says_which_handlers_are_in_vain(self):
        with self.start(greeted=False) as host:
            host.greet(events=["message", "close"], tick_ms=0)
            texts = [host.hear()["text"] for _ in range(3)]
            for text, name in zip(texts, ("request", "open", "tick")):
                self.assertIn(f"{name} is never called", text)

    def test_says_what_it_handles_whether_it_is_offered_or_not(self):
        own = ["handshake", "request", "open", "message", "close", "tick", "process", "worker_error", "stop"]
        for environment, handles in (({}, own), ({"PROBE_OPEN_DOOR": "1"}, own[1:])):
            with self.start(greeted=False, environment=environment) as host:
                said = host.greet(events=["message"])["handles"]
                self.assertEqual(sorted(set(said) - {"dropped"}), sorted(handles))

    def test_refuses_another_protocol(self):
        with self.start(greeted=False) as host:
            host.say({**HELLO, "protocol": 2})
            host.expect_end(1)
            self.assertIn("protocol 1", host.output())

    def test_events_reach_their_handlers_in_order(self):
        with self.start() as host:
            host.say(
                {
                    "event": "open",
                    "connection": LARGEST_ID,
                    "worker": 0,
                    "address": "127.0.0.1",
                    "port": 5000,
                    "target": "/chat?x=1",
                    "headers": {"host": "here"},
                    "time": 1760000000.123,
                },
                {"event": "message", "connection": LARGEST_ID, "text": 'Grüße, 世界 🎈 "\\\n\u2028'},
                {"event": "close", "connection": LARGEST_ID, "code": None, "reason": "", "by": "lost"},
                {"event": "tick", "number": 1},
                {"event": "process", "from": "other", "text": "hi"},
                {"event": "worker_error", "worker": 0, "pid": 1, "how": "signal 9 (SIGKILL)"},
            )
            host.expect_log(f"open {LARGEST_ID} 127.0.0.1 here")
            host.expect({"do": "push", "connection": LARGEST_ID, "text": 'Grüße, 世界 🎈 "\\\n\u2028'})
            host.expect_log(
                f"close {LARGEST_ID} null lost", "tick 1", "process other hi", "worker_error signal 9 (SIGKILL)"
            )

    def test_every_command_is_written_as_the_protocol_says(self):
        with self.start() as host:
            host.message("kinds", 8)
            host.expect(
                {"do": "push", "connection": 8, "json": {"a": [1, 2.5, "ü/", None, True]}},
                {"do": "broadcast", "text": "to all"},
                {"do": "broadcast", "binary": "AP8=", "exclude": 8},
                {"do": "publish", "channel": "chat.room.1", "message": {"any": ["JSON"]}},
                {"do": "publish", "channel": "chat.room.1", "text": "raw", "exclude": 8},
                {"do": "disconnect", "connection": 8},
                {"do": "disconnect", "connection": 8, "code": 4000, "reason": "enough"},
                {"do": "send", "process": "other", "text": "to a process"},
                {"do": "send", "worker": 0, "binary": "AQ=="},
            )
            host.expect_log("careful", level="warn")

    def test_decides_handshakes(self):
        with self.start() as host:
            host.handshake("accept")
            host.expect({"do": "accept", "request": 1})
            host.handshake("no", number=2)
            host.expect({"do": "reject", "request": 2, "status": 403})
            host.handshake("json", number=3)
            headers = {"X-One": "1"}
            host.expect({"do": "reject", "request": 3, "status": 401, "headers": headers, "json": {"who": "you"}})
            host.handshake("choose", "a", "b", number=4)
            accept = host.hear()
            headers = {"X-One": "1", "X-Two": ["2", "3"]}
            expected = {"do": "accept", "request": 4, "subprotocol": "b", "headers": headers, "id": accept["id"]}
            self.assertEqual(accept, expected)
            host.reply(accept, success=False, result="no_such_request", error="too late")
            host.expect_log("accepted no_such_request")

    def test_answers_requests(self):
        with self.start() as host:
            host.request("/any", "POST", text="ü")
            host.expect({"do": "respond", "request": 1, "status": 200, "text": "POST ü"})
            host.request("/any", number=2, binary="AP8=")
            headers = {"Content-Type": "image/png"}
            host.expect({"do": "respond", "request": 2, "status": 201, "headers": headers, "binary": "/wA="})
            host.request("/nothing", number=3)
            host.expect({"do": "respond", "request": 3, "status": 204})

    def test_a_question_whose_handler_fails_is_answered_all_the_same(self):
        with self.start() as host:
            host.handshake("fail", number=4)
            self.assertIn("handler of handshake", host.hear()["text"])
            sorry = {"status": 500, "text": "the application made a mistake"}
            host.expect({"do": "respond", "request": 4, **sorry})
            host.request("/fail", number=5)
            self.assertIn("handler of request", host.hear()["text"])
            host.expect({"do": "respond", "request": 5, **sorry})

    def test_bytes_go_both_ways(self):
        data = bytes(range(256))
        with self.start() as host:
            host.say({"event": "message", "connection": 7, "binary": base64.b64encode(data).decode()})
            host.expect({"do": "push", "connection": 7, "binary": base64.b64encode(data[::-1]).decode()})

    def test_a_message_is_exactly_one_thing(self):
        with self.start() as host:
            host.message("nothing")
            self.assertIn("exactly one of text, json, binary", host.hear()["text"])

    def test_a_reply_comes_back_and_events_wait_meanwhile(self):
        with self.start() as host:
            host.message("ask")
            question = host.hear()
            self.assertEqual(question["text"], "question")
            host.message("meanwhile")
            if self.handles_one_event_at_a_time:
                host.expect_silence()
            else:
                host.expect({"do": "push", "connection": 7, "text": "meanwhile"})
            host.say({"event": "reply", "id": 4711, "success": True, "result": "somebody else's"})
            host.reply(question, success=False, result="outbox_full", error="too slow")
            host.expect_log("asked outbox_full")
            if self.handles_one_event_at_a_time:
                host.expect({"do": "push", "connection": 7, "text": "meanwhile"})

    def test_info_and_exists(self):
        with self.start() as host:
            host.message("info")
            question = host.hear()
            self.assertEqual((question["do"], question["connection"]), ("info", 7))
            host.reply(question, success=True, info={"worker": 3})
            host.expect_log("info 3")
            question = host.hear()
            self.assertEqual((question["do"], question["connection"]), ("exists", 7))
            host.reply(question, success=True, exists=False)
            host.expect_log("exists false")

    def test_no_such_connection_is_an_answer_and_busy_is_none(self):
        with self.start() as host:
            host.message("info")
            host.reply(host.hear(), success=False, result="no_such_connection", error="none")
            host.expect_log("info none")
            host.reply(host.hear(), success=False, result="busy", error="too many questions")
            host.expect_log("failed busy")

    def test_a_reply_is_not_waited_for_for_ever(self):
        with self.start(environment={"PROBE_REPLY_TIMEOUT_S": "0.2"}) as host:
            host.message("ask")
            question = host.hear()
            host.expect_log("asked unanswered")
            host.reply(question, success=True, result="delivered")
            host.message("next")
            host.expect({"do": "push", "connection": 7, "text": "next"})

    def test_the_end_of_events_ends_the_waiting_for_a_reply(self):
        with self.start() as host:
            host.message("ask")
            host.hear()
            host.hang_up()
            host.expect_log("asked unanswered", "stop 0")
            host.expect_end()

    def test_a_refused_command_is_shown(self):
        with self.start() as host:
            host.say({"event": "reply", "success": False, "result": "invalid", "error": "what is that"})
            host.message("next")
            host.hear()
            self.assertIn("a command was refused: what is that", host.output())

    def test_a_handler_that_fails_is_logged_and_the_next_event_is_handled(self):
        with self.start() as host:
            host.message("fail")
            report = host.hear()
            self.assertEqual((report["do"], report["level"]), ("log", "error"))
            self.assertRegex(report["text"], r"^handler of message: .*Error: boom \(probe\.\w+:\d+\)$")
            host.message("next")
            host.expect({"do": "push", "connection": 7, "text": "next"})
            self.assertIn("boom", host.output())

    def test_lines_may_come_in_pieces(self):
        with self.start() as host:
            line = '{"event":"message","connection":7,"text":"Grüße 🎈"}\n'.encode()
            for byte in line:
                host.feed(bytes([byte]))
                time.sleep(0.001)
            host.expect({"do": "push", "connection": 7, "text": "Grüße 🎈"})
            cut = len(line) // 2
            host.feed(line + line + line[:cut])
            host.expect(*[{"do": "push", "connection": 7, "text": "Grüße 🎈"}] * 2)
            host.feed(line[cut:])
            host.expect({"do": "push", "connection": 7, "text": "Grüße 🎈"})

    def test_a_line_ends_at_a_line_feed_and_nowhere_else(self):
        # What else ends a line for str.splitlines, for Node's readline, or with auto_detect_line_endings.
        text = 'a\u2028{"event":"stop","timeout_ms":0}\u2029b\u0085c'
        with self.start() as host:
            quoted = json.dumps(text, ensure_ascii=False)
            host.feed(f'{{"event":"message",\r"connection":7,\r"text":{quoted}\r}}\n'.encode())
            host.expect({"do": "push", "connection": 7, "text": text})
            escaped = '{"event":"message","connection":7,"text":"' + "\\r\\n\\u000b\\u000c\\u001c\\u001e" + '"}\n'
            host.feed(escaped.encode())
            host.expect({"do": "push", "connection": 7, "text": "\r\n\x0b\x0c\x1c\x1e"})
            host.say(STOP)
            host.expect_log("stop 5000")
            host.expect_end()

    def test_a_line_may_be_long(self):
        text = "ü" * (4 << 20)
        with self.start() as host:
            host.message(text)
            host.expect({"do": "push", "connection": 7, "text": text})

    def test_what_is_unknown_or_broken_is_passed_over(self):
        with self.start() as host:
            host.feed(b'{"event":"from the future","connection":{}}\n\nnot JSON\n[]\n7\n{"event":7}\n')
            host.message("next")
            host.expect({"do": "push", "connection": 7, "text": "next"})
            self.assertIn("not a line of the plugin protocol", host.output())

    def test_lost_events_are_told(self):
        with self.start() as host:
            host.say({"event": "dropped", "count": 12})
            host.expect_log("12 events were lost: this program reads too slowly", level="warn")

    def test_a_command_that_the_server_would_not_take_is_not_sent(self):
        with self.start(greeted=False) as host:
            host.greet(line_bytes_max=1000)
            host.message("long")
            self.assertIn("the server takes 1000", host.hear()["text"])

    def test_waits_for_a_server_that_reads_slowly(self):
        with self.start() as host:
            host.message("flood")
            time.sleep(0.5)
            for number in range(2000):
                heard = host.hear()
                self.assertEqual(heard["text"], f"{number} " + "x" * 4096)

    def test_stop(self):
        with self.start() as host:
            host.say(STOP)
            host.expect_log("stop 5000")
            host.expect_end()

    def test_stop_lets_a_handler_wait_for_replies(self):
        with self.start() as host:
            host.message("goodbye")
            host.say(STOP)
            host.reply(host.hear(), success=True, delivered=12, dropped=0)
            host.expect_log("goodbye to 12", "stop 5000")
            host.expect_end()

    def test_stop_comes_after_the_handler_that_runs(self):
        with self.start() as host:
            host.message("ask")
            question = host.hear()
            host.say(STOP)
            host.expect_silence()
            host.reply(question, success=True, result="delivered")
            host.expect_log("asked delivered", "stop 5000")
            host.expect_end()

    def test_stop_with_its_signal_loses_no_event(self):
        with self.start() as host:
            host.terminate()
            time.sleep(0.3)
            host.message("last")
            host.say(STOP)
            host.expect({"do": "push", "connection": 7, "text": "last"})
            host.expect_log("stop 5000")
            host.expect_end()

    def test_the_signal_alone_ends_it_too(self):
        with self.start() as host:
            host.terminate()
            host.expect_log("stop 0")
            host.expect_end()

    def test_the_end_of_events_ends_it(self):
        with self.start() as host:
            host.message("last")
            host.hang_up()
            host.expect({"do": "push", "connection": 7, "text": "last"})
            host.expect_log("stop 0")
            host.expect_end()

    def test_stop_comes_after_all_that_was_sent(self):
        with self.start() as host:
            host.message("part")
            host.say(STOP)
            time.sleep(0.3)
            host.expect({"do": "broadcast", "text": "x" * (1 << 20)})
            host.expect_log("stop 5000")
            host.expect_end()

    def test_the_end_of_commands_ends_it(self):
        with self.start() as host:
            host.refuse()
            host.message("a word")
            self.assertEqual(host.process.wait(10), 0)
            self.assertNotIn("Error", host.output())

    def test_the_death_of_the_server_ends_it_while_it_writes(self):
        with self.start() as host:
            host.message("flood")
            host.hear()
            host.die()
            self.assertEqual(host.process.wait(10), 0)

    def test_stdin_and_stdout(self):
        with self.start(stdio=True) as host:
            host.message("print")
            host.expect_log("has printed")
            host.message("flood")
            for number in range(2000):
                self.assertEqual(host.hear()["text"], f"{number} " + "x" * 4096)
            host.say(STOP)
            host.expect_log("stop 5000")
            host.expect_end()
            self.assertIn("printed", host.output())

    def test_programs_that_it_starts_do_not_hold_the_line(self):
        if not self.keeps_descriptors_to_itself:
            self.skipTest("the language has no way to do it")
        with self.start() as host:
            host.message("child")
            host.expect_log("child false")

    def test_sockets_instead_of_pipes(self):
        with self.start(sockets=True) as host:
            host.message("flood")
            for number in range(2000):
                self.assertEqual(host.hear()["text"], f"{number} " + "x" * 4096)
            host.hang_up()
            host.expect_log("stop 0")
            host.expect_end()


class Python(Sdk, unittest.TestCase):
    language, probe = "python", "probe.py"


class Php(Sdk, unittest.TestCase):
    language, probe = "php", "probe.php"
    keeps_descriptors_to_itself = False


class Node(Sdk, unittest.TestCase):
    language, probe = "node", "probe.mjs"
    handles_one_event_at_a_time = False

    def test_a_promise_that_is_rejected_is_logged(self):
        with self.start() as host:
            host.message("fail later")
            host.reply(host.hear(), success=True, delivered=0, dropped=0)
            report = host.hear()
            self.assertRegex(report["text"], r"^handler of message: Error: boom \(probe\.mjs:\d+\)$")

    def test_half_of_a_character_is_made_whole(self):
        with self.start() as host:
            host.message("half")
            host.expect({"do": "push", "connection": 7, "text": "\ufffd \\ud83c 🎈"})


if __name__ == "__main__":
    unittest.main()
