"""Client of the Socket Bridge's HTTP API, for Python 3.9 or newer. One file, standard library only.

    from socket_bridge import get_socket_bridge

    bridge = get_socket_bridge()                      # SOCKET_BRIDGE_URL, SOCKET_BRIDGE_TOKEN
    await bridge.update_unit_status("M12", "enroute", wait=10)
    bridge.on("unit:status:updated", handler)         # handler(payload), a function or a coroutine function

`SocketBridge` is for asyncio; `BlockingSocketBridge` has the same methods without `await`. Every command goes out under
one Idempotency-Key however often it is repeated. See docs/clients.md.
"""

import asyncio
import email.utils
import functools
import http.client
import inspect
import json
import os
import random
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

DEFAULT_URL = "http://127.0.0.1:8000/api/socket-bridge"
MAX_ANSWER = 4 * 1024 * 1024
MAX_LINE = 8 * 1024 * 1024
MAX_WAIT = 30
FROM_SECONDS, TO_SECONDS = 0.25, 5.0
POSITION_EVENT = "bridge:position"
REPEATABLE_STATUS = {408, 425, 429, 502, 503, 504}
REPEATABLE_CODES = {"network", "timeout", "token-unavailable", "internal"}
HINTS = {
    "network": "Check the URL and the network. A command can be repeated with the same Idempotency-Key.",
    "timeout": "The bridge did not answer in time. A command can be repeated with the same Idempotency-Key.",
    "token-unavailable": "The cause says why there is no token.",
    "unexpected-response": "Something between client and bridge answered: check the URL and the proxies.",
    "handler-failed": "A handler of the stream raised: its event is not handled again.",
}


class SocketBridgeError(Exception):
    """`code` is one of the bridge's problem codes, or a key of HINTS; `hint` is the next step."""

    def __init__(self, code, message, hint=None, status=None, problem=None, retry_after=None):
        super().__init__(message)
        self.code = code
        self.hint = hint if hint is not None else HINTS.get(code, "")
        self.status = status
        self.problem = problem
        self.retry_after = retry_after
        self.attempts = 1
        self.idempotency_key = None
        self.may_be_accepted = False

    @property
    def repeatable(self):
        if self.code == "undeliverable":
            return False
        return self.code in REPEATABLE_CODES or self.status in REPEATABLE_STATUS

    @property
    def unanswered(self):
        if self.code in ("network", "timeout", "internal", "redis-unavailable"):
            return True
        return self.code == "unexpected-response" and (self.status or 0) >= 500


def backoff(attempt):
    full = min(TO_SECONDS, FROM_SECONDS * 2 ** min(attempt - 1, 10))
    return full / 2 + full / 2 * random.random()


def _retry_after(header):
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _error_of(status, headers, body):
    wait = _retry_after(headers.get("Retry-After"))
    if isinstance(body, dict) and all(isinstance(body.get(name), str) for name in ("code", "detail", "hint")):
        return SocketBridgeError(body["code"], body["detail"], body["hint"], status, body, wait)
    message = "The answer was %d without a problem code." % status
    return SocketBridgeError("unexpected-response", message, status=status, retry_after=wait)


def _parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


class BlockingSocketBridge:
    """`token` is a JWT, or a function that returns one. All times are seconds."""

    def __init__(self, url=None, token=None, *, timeout=10.0, deadline=60.0, silence=45.0, position=None,
                 on_position=None, on_error=None, ssl_context=None):
        parts = urllib.parse.urlsplit(url or os.environ.get("SOCKET_BRIDGE_URL") or DEFAULT_URL)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be http:// or https://")
        token = token or os.environ.get("SOCKET_BRIDGE_TOKEN")
        if not token:
            raise ValueError("a token is needed: token=, or SOCKET_BRIDGE_TOKEN")
        self._parts, self._path = parts, parts.path.rstrip("/")
        self._token = token if callable(token) else lambda: token
        self._timeout, self._deadline, self._silence = timeout, deadline, silence
        self._ssl = ssl_context or (ssl.create_default_context() if parts.scheme == "https" else None)
        self._stream = _Stream(self, position, on_position, on_error or _warn)

    # Commands. Optional fields may be None. Options of each: wait, ttl, idempotency_key, deadline.

    def send_assignment(self, unit_id, incident_id, incident_type, priority, address=None, details=None,
                        location=None, **options):
        return self.send("assignments/send", dict(
            unit_id=unit_id, incident_id=incident_id, incident_type=incident_type, priority=priority,
            address=address, details=details, location=location), **options)

    def update_unit_location(self, unit_id, latitude, longitude, heading=None, speed=None, **options):
        return self.send("units/location", dict(
            unit_id=unit_id, latitude=latitude, longitude=longitude, heading=heading, speed=speed), **options)

    def update_unit_status(self, unit_id, status, incident_id=None, **options):
        return self.send("units/status", dict(unit_id=unit_id, status=status, incident_id=incident_id), **options)

    def create_incident(self, incident_id, incident_type, priority, address=None, details=None, location=None,
                        **options):
        return self.send("incidents", dict(
            incident_id=incident_id, incident_type=incident_type, priority=priority, address=address,
            details=details, location=location), **options)

    def update_incident_status(self, incident_id, status, user_id=None, **options):
        return self.send("incidents/status", dict(incident_id=incident_id, status=status, user_id=user_id), **options)

    def update_incident_timestamp(self, incident_id, field, timestamp, location=None, source="manual", **options):
        when = timestamp.isoformat() if hasattr(timestamp, "isoformat") else timestamp
        return self.send("incidents/timestamp", dict(
            incident_id=incident_id, field=field, timestamp=when, location=location, source=source), **options)

    def notify_transport_completed(self, incident_id, epcr_id, transport_type=None, patient_name=None,
                                   destination=None, billing_data=None, **options):
        return self.send("transport/completed", dict(
            incident_id=incident_id, epcr_id=epcr_id, transport_type=transport_type, patient_name=patient_name,
            destination=destination, billing_data=billing_data), **options)

    def broadcast_metrics(self, metrics, **options):
        return self.send("metrics/broadcast", dict(metrics=metrics), **options)

    def join_room(self, room, **options):
        return self.send("rooms/join", dict(room=room), **options)

    def leave_room(self, room, **options):
        return self.send("rooms/leave", dict(room=room), **options)

    def send(self, command, body, *, wait=0, ttl=None, idempotency_key=None, deadline=None):
        """Returns the bridge's answer; with `wait`, it includes the receipt once the state is final."""
        key = idempotency_key or uuid.uuid4().hex
        text = json.dumps(body, allow_nan=False).encode()
        until = time.monotonic() + wait
        while True:
            seconds = min(MAX_WAIT, max(0, int(until - time.monotonic() + 0.999)))
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            if seconds:
                headers["Prefer"] = "wait=%d" % seconds
            if ttl is not None:
                headers["Command-TTL"] = str(ttl)
            try:
                _, answer = self._request("POST", "/" + command, headers, text, self._timeout + seconds,
                                          (deadline or self._deadline) + seconds)
            except SocketBridgeError as error:
                error.idempotency_key = key
                raise
            if answer.get("final") or time.monotonic() >= until:
                return answer
            time.sleep(0.5)

    def get_command(self, command_id):
        return self._request("GET", "/commands/" + urllib.parse.quote(command_id, safe=""))[1]

    def get_health_status(self):
        """The answer of GET /health: an unhealthy bridge is a result too, not an error."""
        return self._request("GET", "/health", accepts=lambda status, body: status == 503 and isinstance(body, dict)
                             and "bridge" in body)[1]

    # Events.

    def on(self, event, handler=None):
        """Calls handler(payload) for each event of this name that parses, in order; `*` calls handler(entry) for every entry.

        Without a handler it is a decorator. The stream starts with the first call.
        """
        if handler is None:
            return lambda function: self.on(event, function) and function
        self._stream.add(event, handler)
        return handler

    def listening(self, timeout=10.0):
        """True once the stream is open; nothing is missed from then on."""
        return self._stream.placed.wait(timeout)

    @property
    def position(self):
        return self._stream.position

    def close(self):
        self._stream.close()

    # HTTP.

    def _request(self, method, path, headers=None, body=None, attempt_seconds=None, deadline=None, accepts=None):
        until = time.monotonic() + (deadline or self._deadline)
        may_be_accepted = False
        attempt = 0
        while True:
            attempt += 1
            try:
                left = min(attempt_seconds or self._timeout, until - time.monotonic())
                status, answered, text = self._exchange(method, path, headers or {}, body, max(left, 0.001))
                parsed = _parsed(text)
                if 200 <= status < 300 or (accepts and accepts(status, parsed)):
                    if not isinstance(parsed, dict):
                        raise SocketBridgeError("unexpected-response", "The answer is no JSON object.", status=status)
                    return status, parsed
                raise _error_of(status, answered, parsed)
            except SocketBridgeError as error:
                may_be_accepted = may_be_accepted or error.unanswered
                error.attempts, error.may_be_accepted = attempt, may_be_accepted
                pause = max(backoff(attempt), error.retry_after or 0)
                if not error.repeatable or pause >= until - time.monotonic():
                    raise
                time.sleep(pause)

    def _open(self, method, path, headers, body, seconds):
        parts = self._parts
        try:
            token = self._token()
        except Exception as error:
            raise SocketBridgeError("token-unavailable", "The function that returns the token failed.") from error
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=self._ssl)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
        try:
            connection.request(method, self._path + path, body, {**headers, "Authorization": "Bearer " + token})
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _exchange(self, method, path, headers, body, seconds):
        until = time.monotonic() + seconds
        connection = None
        try:
            connection, response = self._open(method, path, headers, body, seconds)
            text = b""
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    raise socket.timeout()
                if connection.sock is not None:
                    connection.sock.settimeout(left)
                part = response.read1(65536)
                if not part:
                    return response.status, response.headers, text
                text += part
                if len(text) > MAX_ANSWER:
                    raise SocketBridgeError("unexpected-response", "The answer is longer than %d bytes." % MAX_ANSWER)
        except socket.timeout as error:
            raise SocketBridgeError("timeout", "No answer within %.3g s." % seconds) from error
        except (OSError, http.client.HTTPException) as error:
            raise SocketBridgeError("network", "The bridge could not be reached, or the connection broke.") from error
        finally:
            if connection is not None:
                connection.close()


def _warn(error):
    print("socket bridge: %s: %s %s" % (error.code, error, error.hint), file=sys.stderr)


class _Stream:
    """Reads GET /events in a thread until closed. Each connection resumes after the last handled entry."""

    def __init__(self, bridge, position, on_position, on_error):
        self._bridge, self._on_position, self._on_error = bridge, on_position, on_error
        self.position = position
        self.placed = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._handlers = {}
        self._names_changed = False
        self._connection = None
        self._thread = None

    def add(self, event, handler):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock:
            known = self._handlers.setdefault(event, [])
            new = not known
            known.append((handler, loop))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="socket-bridge-events", daemon=True)
                self._thread.start()
            elif new:
                self._names_changed = True
                self._cut()

    def close(self):
        self._closing.set()
        with self._lock:
            self._cut()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(10)

    def _cut(self):
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _run(self):
        failures = 0
        while not self._closing.is_set():
            pause = 0.0
            self._names_changed = False
            try:
                self._read()
                failures = 0
            except SocketBridgeError as error:
                if self._closing.is_set():
                    return
                if not self._names_changed:
                    failures = failures + 1 if error.status else 1
                    pause = error.retry_after or 0.0
                    self._on_error(error)
                    if error.code == "gone":
                        self._skip_to((error.problem or {}).get("oldest"))
            if not self._names_changed:
                self._closing.wait(max(pause, backoff(failures + 1)))

    def _read(self):
        bridge = self._bridge
        with self._lock:
            names = list(self._handlers)
        query = "" if "*" in names else "?" + urllib.parse.urlencode([("event", name) for name in names])
        headers = {"Accept": "text/event-stream"}
        if self.position is not None:
            headers["Last-Event-ID"] = self.position
        connection = None
        try:
            connection, response = bridge._open("GET", "/events" + query, headers, None, bridge._timeout)
            if response.status != 200:
                raise _error_of(response.status, response.headers, _parsed(response.read(MAX_ANSWER)))
            # After "Connection: close" the response keeps the socket that the connection has released.
            connection.sock = connection.sock or response.fp.raw._sock
            connection.sock.settimeout(bridge._silence)
            self._connection = connection
            self._follow(response)
        except socket.timeout as error:
            raise SocketBridgeError("timeout", "The stream was silent for too long.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SocketBridgeError("network", "The stream broke.") from error
        finally:
            self._connection = None
            if connection is not None:
                connection.close()

    def _follow(self, response):
        event, data, last_id = "message", [], None
        while not self._closing.is_set() and not self._names_changed:
            line = response.readline(MAX_LINE)
            if not line.endswith(b"\n"):
                if len(line) >= MAX_LINE:
                    raise ValueError("a line is too long")
                return
            text = line.decode("utf-8").rstrip("\r\n")
            if text == "":
                if data:
                    self._handle(event, "\n".join(data), last_id)
                event, data = "message", []
                continue
            field, _, value = text.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                event = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last_id = value

    def _handle(self, event, data, last_id):
        if event != POSITION_EVENT:
            self._tell(json.loads(data))
        if last_id:
            self._reach(last_id)

    def _reach(self, entry_id):
        self.position = entry_id
        if self._on_position is not None:
            self._on_position(entry_id)
        self.placed.set()

    def _skip_to(self, oldest):
        """The entries before `oldest` are gone: continues with `oldest` itself."""
        if not oldest:
            self.position = None
            return
        try:
            entry = self._bridge._request("GET", "/events/" + oldest, deadline=self._bridge._timeout)[1]
        except SocketBridgeError as error:
            if error.code != "not-found":
                self._on_error(error)
                return
            entry = None
        if entry is not None:
            self._tell(entry)
        self._reach(oldest)

    def _tell(self, entry):
        parsed = entry["kind"] in ("event", "bridge")
        with self._lock:
            named = list(self._handlers.get(entry["event"], [])) if parsed else []
            every = list(self._handlers.get("*", []))
        calls = [(pair, entry["payload"]) for pair in named] + [(pair, entry) for pair in every]
        for (handler, loop), argument in calls:
            try:
                self._call(handler, loop, argument)
            except Exception as error:
                failed = SocketBridgeError("handler-failed", "A handler of %s failed at %s." % (entry["event"], entry["id"]))
                failed.__cause__ = error
                self._on_error(failed)

    def _call(self, handler, loop, argument):
        """Runs a coroutine in the event loop in which `on` was called; the next entry waits for it."""
        result = handler(argument)
        if not inspect.isawaitable(result):
            return
        if loop is None:
            asyncio.run(_awaited(result))
        else:
            asyncio.run_coroutine_threadsafe(_awaited(result), loop).result()


async def _awaited(result):
    return await result


class SocketBridge:
    """For asyncio: the methods of BlockingSocketBridge as coroutines, except `on`, `position` and `blocking`."""

    def __init__(self, *args, **options):
        self.blocking = BlockingSocketBridge(*args, **options)

    def on(self, event, handler=None):
        return self.blocking.on(event, handler)

    @property
    def position(self):
        return self.blocking.position


def _awaitable(method):
    @functools.wraps(method)
    async def call(self, *args, **options):
        return await asyncio.get_running_loop().run_in_executor(None, functools.partial(method, self.blocking, *args, **options))
    return call


COMMANDS = ("send_assignment", "update_unit_location", "update_unit_status", "create_incident",
            "update_incident_status", "update_incident_timestamp", "notify_transport_completed", "broadcast_metrics",
            "join_room", "leave_room")
for _name in COMMANDS + ("send", "get_command", "get_health_status", "listening", "close"):
    setattr(SocketBridge, _name, _awaitable(getattr(BlockingSocketBridge, _name)))

_shared = None
_shared_lock = threading.Lock()


def get_socket_bridge():
    """The process's client, created on the first call from SOCKET_BRIDGE_URL and SOCKET_BRIDGE_TOKEN."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = SocketBridge()
        return _shared
