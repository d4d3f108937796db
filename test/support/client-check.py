"""What test/integration/client-python.test.ts has a real Python do: one JSON object per line on stdout."""

import asyncio
import json
import sys
import threading

import socket_bridge
from socket_bridge import BlockingSocketBridge, SocketBridgeError, get_socket_bridge


def say(**what):
    print(json.dumps(what), flush=True)


def commands():
    """Every command, by its method's name, with arguments from the table's first examples."""
    async def run():
        bridge = get_socket_bridge()
        for name, arguments in json.load(sys.stdin):
            answer = await getattr(bridge, name)(**arguments, wait=20)
            same = await bridge.get_command(answer["command_id"]) == {
                key: value for key, value in answer.items() if key in RECEIPT}
            say(name=name, command=answer["command"], final=answer["final"], success=answer["success"], same=same)
        say(health=(await bridge.get_health_status())["status"])
        say(methods=sorted(socket_bridge.COMMANDS))
        await bridge.close()
    asyncio.run(run())


RECEIPT = ("command_id command status final ordering_keys accepted_at sent_at settled_at expires_at sends proof "
           "confirmed_by superseded_by reason redrive_of redriven_as held").split()


def lost():
    """The answer to the first request is lost on its way."""
    bridge = BlockingSocketBridge()
    exchange, asked = bridge._exchange, []

    def losing(*args):
        answer = exchange(*args)
        asked.append(args)
        if len(asked) == 1:
            raise SocketBridgeError("network", "lost")
        return answer
    bridge._exchange = losing
    answer = bridge.update_unit_status("M12", "enroute", None, wait=20)
    say(success=answer["success"], status=answer["status"], same=asked[0][2:4] == asked[1][2:4])
    try:
        bridge.update_unit_status("M12", "lunch")
    except SocketBridgeError as error:
        say(code=error.code, hint=error.hint, status=error.status, attempts=error.attempts)


def stream():
    """Prints every event until stdin ends."""
    async def run():
        bridge = socket_bridge.SocketBridge(on_error=lambda error: say(error=error.code))

        @bridge.on("unit:status:updated")
        async def told(payload):
            await asyncio.sleep(0)
            say(status=payload["status"])

        say(listening=await bridge.listening())
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(done.set)), daemon=True).start()
        await done.wait()
        await bridge.close()
        say(position=bridge.position)
    asyncio.run(run())


{"commands": commands, "lost": lost, "stream": stream}[sys.argv[1]]()
