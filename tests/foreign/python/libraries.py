"""What the libraries of Python see of the server. Usage: libraries.py SCENARIO, with the environment of server.py. It
prints what each has found; libraries.json says what that is to be. All libraries run at once, each in a thread.
"""

import json
import os
import sys
import threading
import time

from adapters import CLIENTS, Ended
from server import URL

TEXT, LARGE = "Grüße, 世界 🎈", "what was said before, " * 3200


def echo(client) -> str:
    # More than once: where a context is kept, the second message is the first that needs it.
    for message in (TEXT, b"\0\xff\x80", "", LARGE, TEXT, LARGE.encode(), "the end"):
        client.send(message)
        came = client.receive()
        assert came == message, f"sent {message!r:.40}, received {came!r:.40}"
    client.close()
    return "ok"


def silent(client) -> str:
    """The application reads nothing while the server pings, every second, and wants an answer within a second."""
    time.sleep(4.5)
    try:
        client.send("still here")
        came = client.receive()
    except Exception:  # each library has its own
        return "closed"
    assert came == "still here", came
    client.close()
    return "stays"


def end(client) -> list:
    """How the end of the connection looks to the application."""
    try:
        came = client.receive()
    except Ended as ended:
        code, reason = ended.args
        return [code and int(code), reason.split(";")[0]]
    raise AssertionError(f"received {came!r}")


class Run:
    """One scenario with every library."""

    def __init__(self):
        self.results, self.opened = {}, threading.Barrier(len(CLIENTS) + 1)

    def one(self, name: str, scenario) -> None:
        try:
            client = CLIENTS[name](URL)
            if scenario is end:
                self.opened.wait(30)
            self.results[name] = scenario(client)
        except Exception as error:
            self.results[name] = f"{type(error).__name__}: {error}"

    def all(self, scenario) -> dict:
        threads = [threading.Thread(target=self.one, args=(name, scenario), daemon=True) for name in CLIENTS]
        for thread in threads:
            thread.start()
        if scenario is end:
            self.opened.wait(30)
            # What ends the connections.
            os.system(f"{os.environ['TEST_ACTION']} &")
        for thread in threads:
            thread.join(60)
        return self.results


def refusal(name: str) -> str:
    """What the error says. In some it is chance whether the answer or the end behind it is seen first: several tries."""
    for _ in range(5):
        try:
            CLIENTS[name](URL)
            return "let in"
        except Exception as error:
            if "503" in str(error):
                return "503"
    return "error"


def refused() -> dict:
    """The server is full: each library raises an error, which may name the status."""
    held = CLIENTS["websockets"](URL)
    results = {name: refusal(name) for name in CLIENTS}
    held.close()
    return results


SCENARIOS = {
    "echo": lambda: Run().all(echo),
    "silent": lambda: Run().all(silent),
    "end": lambda: Run().all(end),
    "refused": refused,
}


def main() -> None:
    scenario = sys.argv[1]
    print("found", json.dumps(SCENARIOS[scenario]()))
    print("done", scenario, flush=True)
    # Threads of libraries may be at something.
    os._exit(0)


if __name__ == "__main__":
    main()
