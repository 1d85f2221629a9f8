"""What docs/plugins.md shows works as it stands there."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from host import PATIENCE_S, Host
from languages import DOCUMENT, PLUGINS, interpreter


def blocks(language: str) -> list[str]:
    """The blocks of code in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


class Document(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def write(self, name: str, content: str) -> str:
        file = self.directory / name
        file.write_text(content)
        return str(file)

    def test_lines_are_lines_of_the_protocol(self):
        lines = [line for block in blocks("json") for line in block.splitlines()]
        self.assertGreater(len(lines), 20)
        for line in lines:
            value = json.loads(line)
            self.assertIn(next(iter(value)), ("event", "do"), line)
            self.assertEqual(json.dumps(value, separators=(",", ":"), ensure_ascii=False), line)

    def test_every_event_and_command_of_a_line_is_in_the_tables(self):
        text = DOCUMENT.read_text()
        for block in blocks("json"):
            for line in block.splitlines():
                value = json.loads(line)
                name = value.get("event") or value["do"]
                if name != "hello":
                    self.assertRegex(text, rf"(?m)^\| (`\w+`, )*`{name}`(, `\w+`)* \|")

    def test_the_shell_program(self):
        program = self.write("time.sh", blocks("bash")[0])
        with Host([interpreter("bash"), program]) as host:
            host.greet()
            host.message('a trap: "connection":8 \\', connection=1827364518273645)
            answer = host.hear()
            self.assertEqual((answer["do"], answer["connection"]), ("push", 1827364518273645))
            self.assertRegex(answer["text"], r"^It is \d\d:\d\d:\d\d\.$")
            host.say({"event": "tick", "number": 1}, {"event": "stop", "timeout_ms": 5000})
            host.expect_end()

    def test_the_trial_by_hand(self):
        program = pathlib.Path(self.write("time.sh", blocks("bash")[0]))
        program.chmod(0o755)
        shown = next(block for block in blocks("console") if "time.sh" in block)
        command, *expected = re.sub(r" \\\n +", " ", shown).strip().split("\n")
        self.assertTrue(command.startswith("$ "))
        run = subprocess.run(
            [interpreter("bash"), "-c", command[2:]],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        heard = re.sub(r"\d\d:\d\d:\d\d", "12:34:56", run.stdout).splitlines()
        self.assertEqual((heard, run.returncode), (expected, 0), run.stderr)

    def check_echo(self, language: str, name: str, block: str, sdk: str) -> None:
        program = self.write(name, block)
        shutil.copy(PLUGINS / sdk, self.directory)
        command = [interpreter(language), program]
        with Host(command) as host:
            self.assertEqual(host.greet(events=["open", "message", "close"])["events"], ["message"])
            host.message("hi")
            host.say({"event": "message", "connection": 7, "binary": "AA=="})
            for said in ("hi", "something binary"):
                host.expect({"do": "push", "connection": 7, "text": f"You said: {said}"})
            host.say({"event": "stop", "timeout_ms": 5000})
            host.expect_end()
        # And by hand: no server, no environment.
        variables = {key: value for key, value in os.environ.items() if not key.startswith("WSMASTER_")}
        run = subprocess.run(
            command,
            cwd=self.directory,
            env=variables,
            input='{"event":"hello","protocol":1,"events":["message"]}\n'
            '{"event":"message","connection":7,"text":"hi"}\n',
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        self.assertEqual(json.loads(run.stdout.splitlines()[1])["text"], "You said: hi")
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_python(self):
        self.check_echo("python", "echo.py", blocks("python")[0], "python/wsmaster.py")

    def test_node(self):
        self.check_echo("node", "echo.mjs", blocks("js")[0], "node/wsmaster.mjs")

    def test_php(self):
        self.check_echo("php", "echo.php", blocks("php")[0], "php/wsmaster.php")

    def test_configurations_are_toml(self):
        try:
            import tomllib
        except ImportError:  # Python before 3.11; the others run this test.
            self.skipTest("no tomllib")
        known = set(re.findall(r"(?m)^\| `(\w+)` \|[^|]*\|[^|]*\|$", DOCUMENT.read_text()))
        for block in blocks("toml"):
            config = tomllib.loads(block)
            for process in config["process"]:
                self.assertLessEqual(set(process), known)
            names = {process["name"] for process in config["process"]}
            for route in config.get("route", []):
                self.assertIn(route["app"].removeprefix("plugin:"), names)

    def test_the_application(self):
        program = self.write("greeter.py", blocks("python")[1])
        shutil.copy(PLUGINS / "python" / "wsmaster.py", self.directory)
        with Host([interpreter("python"), program]) as host:
            host.greet()
            host.handshake("", number=1)
            self.assertEqual(host.hear()["status"], 400)
            host.handshake("name=ann", number=2)
            host.expect({"do": "accept", "request": 2})
            host.open("/", "name=ann")
            host.expect({"do": "push", "connection": 7, "text": "Hello, ann"})
            host.request("/x", number=3)
            host.expect({"do": "respond", "request": 3, "status": 200, "json": {"you asked for": "/x"}})


if __name__ == "__main__":
    unittest.main()
