"""Example of a webhook receiver: verifies, stores once, answers, and works afterwards. Standard library only.

    WEBHOOK_SECRET=whsec_... python3 webhook_receiver.py      # two secrets, separated by a space, during a rotation
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 2 * 1024 * 1024
TOLERANCE_SECONDS = 300


def verify(secrets, headers, body, now):
    """Whether a secret signed this body (Standard Webhooks), not longer ago than replays are accepted."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = ("%s.%s." % (message_id, timestamp)).encode() + body
    given = [part[3:] for part in headers.get("webhook-signature", "").split(" ") if part.startswith("v1,")]
    wanted = [base64.b64encode(hmac.new(base64.b64decode(secret[len("whsec_"):]), signed, hashlib.sha256).digest())
              for secret in secrets]
    return any(hmac.compare_digest(one.encode(), other) for one in given for other in wanted)


class Inbox:
    """What was received and not done yet, on disk: an event that is answered with 2xx is not sent again."""

    def __init__(self, path):
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("create table if not exists inbox (id text primary key, event text)")

    def add(self, message_id, event):
        """False if it is known: deliveries are repeated, under the same id."""
        with self._lock, self._database as database:
            return database.execute("insert or ignore into inbox values (?, ?)", (message_id, event)).rowcount == 1

    def take(self):
        """The oldest that is not done. The id stays, to recognise repeats: delete old ones after a month."""
        with self._lock:
            return self._database.execute(
                "select id, event from inbox where event is not null order by rowid limit 1").fetchone()

    def done(self, message_id):
        with self._lock, self._database as database:
            database.execute("update inbox set event = null where id = ?", (message_id,))


def handler_of(secrets, inbox, arrived):
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self):
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MAX_BODY:
                return self._answer(413)
            body = self.rfile.read(int(length))
            if not verify(secrets, self.headers, body, time.time()):
                return self._answer(401)
            if inbox.add(self.headers["webhook-id"], body.decode("utf-8")):
                arrived.set()
            self._answer(204)

        def _answer(self, status):
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


def work(inbox, arrived, act):
    """One after the other, in the order of arrival, as often as it takes."""
    while True:
        arrived.clear()
        found = inbox.take()
        if found is None:
            arrived.wait(60)
            continue
        try:
            act(json.loads(found[1]))
            inbox.done(found[0])
        except Exception as error:
            print("failed, and is tried again:", type(error).__name__, flush=True)
            arrived.wait(5)


if __name__ == "__main__":
    inbox, arrived = Inbox(os.environ.get("INBOX", "inbox.sqlite")), threading.Event()
    act = lambda event: print("event", event["type"], event.get("subject"), flush=True)
    threading.Thread(target=work, args=(inbox, arrived, act), daemon=True).start()
    secrets = os.environ["WEBHOOK_SECRET"].split()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), handler_of(secrets, inbox, arrived))
    print("listening on", server.server_address[1], flush=True)
    server.serve_forever()
