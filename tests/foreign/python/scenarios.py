"""What Python's `websockets` sees of the server. Usage: scenarios.py NAME, with the environment of server.py."""

import asyncio
import json
import os
import random
import sys

from server import Member, dial, expect, post, receive, run
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

ROOM = "chat.room.1"
KIB = 1024
MIB = 1024 * KIB


async def end_of(socket) -> ConnectionClosed:
    """Reads until the connection is closed, and returns how."""
    while True:
        try:
            await receive(socket)
        except ConnectionClosed as end:
            return end


async def echo() -> None:
    """Every length at which a frame's head changes, as text and as bytes."""
    async with dial(max_size=2 * MIB) as socket:
        for text in ("", "a", "Grüße, 世界 🎈", "\0 control \x7f", "\U0010ffff"):
            await socket.send(text)
            expect(await receive(socket), text)
        for length in (0, 1, 125, 126, 127, 65535, 65536, 65537, MIB):
            data = random.Random(length).randbytes(length)
            await socket.send(data)
            expect(await receive(socket), data)
            text = "é" * (length // 2)
            await socket.send(text)
            expect(await receive(socket), text)


async def fragments() -> None:
    """Messages in fragments: many, of one byte, empty ones, cut within a character, with pings between them."""
    async with dial(max_size=2 * MIB) as socket:
        data = random.Random(7).randbytes(MIB)
        await socket.send(data[at : at + 4 * KIB] for at in range(0, MIB, 4 * KIB))
        expect(await receive(socket), data)
        await socket.send(bytes([byte]) for byte in data[:500])
        expect(await receive(socket), data[:500])
        await socket.send(["", "Grü", "", "ße 🎈", ""])
        expect(await receive(socket), "Grüße 🎈")
        encoded = "Grüße 🎈".encode()
        await socket.send([encoded[:3], encoded[3:4], encoded[4:10], encoded[10:]], text=True)
        expect(await receive(socket), "Grüße 🎈")

        async def with_pings():
            for part in ("one ", "two ", "three"):
                yield part
                await (await socket.ping(part))

        await socket.send(with_pings())
        expect(await receive(socket), "one two three")


async def deflate() -> None:
    """Every way to agree on compression, with a server that keeps context for both sides or for none."""
    keeps = os.environ["TEST_CONTEXT_TAKEOVER"] == "both"
    for wishes in (
        {},
        {"client_max_window_bits": None},
        {"client_max_window_bits": 9},
        {"server_max_window_bits": 9},
        {"server_max_window_bits": 12, "client_max_window_bits": 12},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
    ):
        offer = ClientPerMessageDeflateFactory(**wishes)
        async with dial(compression=None, extensions=[offer], max_size=2 * MIB) as socket:
            [agreed] = socket.protocol.extensions
            expect(agreed.remote_no_context_takeover, not keeps or "server_no_context_takeover" in wishes)
            expect(agreed.local_no_context_takeover, "client_no_context_takeover" in wishes)
            expect(agreed.remote_max_window_bits, wishes.get("server_max_window_bits") or 15)
            for length in (0, 1, 300, 5000, 70_000, MIB):
                text = ("what was said before, " * (length // 22 + 1))[:length]
                noise = random.Random(length).randbytes(length)
                for message in (text, noise, text, text.encode(), noise[: length // 2] + text.encode()):
                    await socket.send(message)
                    expect(await receive(socket), message)
            # In fragments, each of them compressed on from where the one before has ended.
            parts = ["Grü", "", "ße 🎈, " * 1000, "and ", "the end"]
            await socket.send(parts)
            expect(await receive(socket), "".join(parts))


async def ping() -> None:
    """The server answers pings with their own payload, in the middle of other traffic too."""
    async with dial(ping_interval=None) as socket:
        for payload in (b"", b"x", bytes(range(125))):
            latency = await asyncio.wait_for(await socket.ping(payload), 5)
            assert 0 <= latency < 5, latency
        for number in range(100):
            await socket.send(str(number))
        # The client stops reading while messages wait for its application, so those come first.
        pong = await socket.ping("behind 100 messages")
        for number in range(100):
            expect(await receive(socket), str(number))
        await asyncio.wait_for(pong, 5)


async def close() -> None:
    """Who closes says why, and the other side hears it."""
    for code, reason in ((1000, ""), (1001, "the tab is gone"), (3000, "ü" * 61), (4999, "mine")):
        socket = await dial()
        await socket.close(code, reason)
        # The server's own close frame, which repeats the code (RFC 6455, 5.5.1).
        expect((socket.close_code, socket.protocol.close_rcvd_then_sent), (code, False))

    member = await Member.join(await dial())
    answer = post("disconnect", {"connection": member.id, "code": 4001, "reason": "enough, sagt Jürgen"})
    expect(answer["result"], "delivered")
    end = await end_of(member.socket)
    assert isinstance(end, ConnectionClosedError)
    expect((end.rcvd.code, end.rcvd.reason), (4001, "enough, sagt Jürgen"))

    member = await Member.join(await dial())
    post("disconnect", {"connection": member.id, "code": 1000, "reason": ""})
    assert isinstance(await end_of(member.socket), ConnectionClosedOK)

    # More than message_bytes_max, which is 256 KiB. The client still sends while the server has said no already; how
    # that ends within the client is its own affair, as long as it hears why.
    socket = await dial()
    sending = asyncio.create_task(socket.send("x" * (4 * MIB)))
    expect((await end_of(socket)).rcvd.code, 1009)
    await asyncio.gather(sending, return_exceptions=True)

    async with dial() as socket:
        await socket.send([b"no ", b"\xff UTF-8"], text=True)
        expect((await end_of(socket)).rcvd.code, 1007)


async def subprotocol() -> None:
    """A server that speaks none of the subprotocols on offer chooses none (RFC 6455, 4.2.2)."""
    async with dial(subprotocols=["chat", "superchat"]) as socket:
        expect(socket.subprotocol, None)
        await socket.send("still works")
        expect(await receive(socket), "still works")


async def channels() -> None:
    """Two clients on two workers, and the seed's requests with their answers."""
    ann, bob = await Member.on_worker(0), await Member.on_worker(1)
    for member in (ann, bob):
        await member.subscribe(ROOM)

    for sender, other in ((ann, bob), (bob, ann)):
        for message in ("hello", 7, 1.5, None, [], {"any": ["JSON", {"välue": "🎈"}]}):
            await sender.send("message", channel=ROOM, message=message)
            # The sender gets its own message and the answer, in either order.
            got = [await sender.receive(), await sender.receive()]
            answer = {"success": True, "action": "message_sent", "channel": ROOM}
            assert answer in got, got
            got.remove(answer)
            for delivery in (got[0], await other.receive()):
                assert delivery["time"] > 1_600_000_000, delivery
                del delivery["time"]
                expected = {"action": "message", "channel": ROOM, "sender": sender.id, "message": message}
                expect(delivery, expected)

    # To one of them only, by its id; what comes next to the other is its own answer.
    await ann.send("message", channel=ROOM, message="psst", recipients=[bob.id])
    expect((await bob.receive())["message"], "psst")
    expect((await ann.receive())["success"], True)

    expect(post("publish", {"channel": ROOM, "message": "news"})["delivered"], 2)
    for member in (ann, bob):
        delivery = await member.receive()
        expect((delivery["sender"], delivery["message"]), (None, "news"))

    answer = await bob.ask("unsubscribe", channel=ROOM)
    expect(answer, {"success": True, "action": "unsubscribe", "channel": ROOM})
    expect(post("publish", {"channel": ROOM, "message": "more"})["delivered"], 1)
    for request, code in (
        ("no JSON", "invalid_json"),
        ('{"action":"dance"}', "unknown_action"),
        (json.dumps({"action": "message", "data": {"channel": ROOM, "message": 1}}), "not_subscribed"),
        ('{"action":"subscribe","data":{"channel":"no such name!"}}', "invalid_channel"),
    ):
        await bob.socket.send(request)
        answer = await bob.receive()
        expect((answer["success"], answer["action"], answer["code"]), (False, "error", code))
        assert answer["error"], answer
    await bob.socket.send('{"action":"ping","id":"mine"}')
    expect(await bob.receive(), {"action": "pong", "id": "mine"})
    for member in (ann, bob):
        await member.socket.close()


async def reload() -> None:
    """A reload closes with 1001 and says when to come back; the library's own reconnection does so."""
    ids = []
    async with asyncio.timeout(60):
        reloading = None
        async for socket in dial():
            try:
                member = await Member.join(socket)
                ids.append(member.id)
                await member.subscribe(ROOM)
            except ConnectionClosedError as end:
                # It had come back to the other worker, whose turn was still to come, and is told the same there.
                assert reloading is not None, end
                expect(end.rcvd.code, 1001)
                continue
            if reloading is None:
                reloading = asyncio.create_task(run("reload"))
                end = await end_of(socket)
                expect(end.rcvd.code, 1001)
                words, _, milliseconds = end.rcvd.reason.partition("; retry_after_ms=")
                expect(words, "restarting")
                assert 0 <= int(milliseconds) <= 300, end.rcvd.reason
                continue
            await reloading
            break
    # It may have come back to the other worker while that one had not yet had its turn.
    member = await Member.join(await dial())
    await member.subscribe(ROOM)
    post("publish", {"channel": ROOM, "message": "after"})
    expect((await member.receive())["message"], "after")
    assert len(set(ids)) == len(ids) >= 2, ids
    await member.socket.close()


async def crowd() -> None:
    """200 clients at once over four workers: each hears each of 20 messages, once, in the order of their sender."""
    members = await asyncio.gather(*(joined() for _ in range(200)))
    assert len({member.id for member in members}) == 200
    assert {member.worker for member in members} == {0, 1, 2, 3}
    await asyncio.gather(*(member.subscribe(ROOM) for member in members))
    speakers = [next(member for member in members if member.worker == worker) for worker in range(4)]

    async def speak(speaker: Member) -> None:
        for number in range(5):
            await speaker.send("message", channel=ROOM, message=number)

    async def listen(member: Member) -> None:
        heard = {speaker.id: [] for speaker in speakers}
        while sum(map(len, heard.values())) < 20:
            message = await member.receive()
            if "success" not in message:
                heard[message["sender"]].append(message["message"])
        expect(set(map(tuple, heard.values())), {(0, 1, 2, 3, 4)})

    await asyncio.gather(*map(speak, speakers), *map(listen, members))
    await asyncio.gather(*(member.socket.close() for member in members))


async def joined() -> Member:
    return await Member.join(await dial())


SCENARIOS = [echo, fragments, deflate, ping, close, subprotocol, channels, reload, crowd]


def main() -> None:
    scenario = {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]]
    asyncio.run(scenario())
    print("done", sys.argv[1])


if __name__ == "__main__":
    main()
