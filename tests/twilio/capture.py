"""Leads a capture on a real call with Twilio's own library, of which nothing is changed but its address.

Its settings are one JSON object on standard input, what came of it is one on standard output: what was called back, each checked by
Twilio's own validator.
"""

import http.server
import json
import queue
import sys
import threading
import time
import urllib.parse

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

settings = json.load(sys.stdin)
url = settings["callback"]
told = queue.Queue()
all_told = []
forged = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        validator = RequestValidator(settings["token"])
        if not validator.validate(url, fields, self.headers.get("X-Twilio-Signature", "")):
            forged.append(fields)
        # The same with another field is refused, or the check would be none.
        if validator.validate(url, {**fields, "Forged": "1"}, self.headers.get("X-Twilio-Signature", "")):
            forged.append(fields)
        all_told.append(fields)
        told.put(fields)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def wait_for(is_it, what, seconds=40):
    until = time.monotonic() + seconds
    while True:
        try:
            fields = told.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise SystemExit(f"{what} was not called back; there came {json.dumps(all_told)}")
        if is_it(fields):
            return fields


server = http.server.ThreadingHTTPServer((settings["ip"], settings["port"]), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()

client = Client(settings["account"], settings["token"])
client.api.base_url = settings["base"]

until = time.monotonic() + 30
while True:
    calls = [c for c in client.calls.list(status="in-progress") if c._from == settings["from"]]
    if calls:
        break
    if time.monotonic() > until:
        raise SystemExit("the call is not in the list of those that are on")
    time.sleep(0.2)
call = client.calls(calls[0].sid).fetch()
# They talk for a moment.
time.sleep(1.5)

refused = []


def refuses(what, ask):
    try:
        ask()
    except TwilioRestException as error:
        refused.append([what, error.status, error.code])
    else:
        raise SystemExit(f"{what} was not refused")


key = settings["key"]
payments = client.calls(call.sid).payments
asked = {
    "idempotency_key": key,
    "status_callback": url,
    "charge_amount": settings["amount"],
    "currency": "jpy",
    "parameter": {"order_id": key},
}
refuses("a postal code", lambda: payments.create(**{**asked, "postal_code": True}))
refuses("another host", lambda: payments.create(**{**asked, "status_callback": "https://169.254.169.254/x"}))
payment = payments.create(**asked)
same = payments.create(**asked)
number = [0]


def update(**what):
    number[0] += 1
    return client.calls(call.sid).payments(payment.sid).update(
        idempotency_key=f"{key}-{number[0]}", status_callback=url, **what
    )


def took(field):
    return lambda fields: fields.get("Capture") == field and field not in fields.get("Required", "").split(",") and "ErrorType" not in fields


refuses("a second payment on the call", lambda: payments.create(**{**asked, "idempotency_key": f"{key}-x", "parameter": {"order_id": f"{key}-x"}}))
refuses("the code before the number", lambda: update(capture="security-code"))
refuses("the charge before the card", lambda: update(status="complete"))
update(capture="payment-card-number")
pan = wait_for(took("payment-card-number"), "the card number")
if settings["ends"] == "cancel":
    update(status="cancel")
else:
    update(capture="expiration-date")
    wait_for(took("expiration-date"), "the expiry")
    update(capture="security-code")
    wait_for(took("security-code"), "the code")
    update(status="complete")
result = wait_for(lambda fields: "Result" in fields, "the result")
json.dump(
    {
        "call_sid": call.sid,
        "sid": payment.sid,
        "same_sid": same.sid,
        "account_sid": payment.account_sid,
        "created": payment.date_created.isoformat(),
        "pan": pan,
        "result": result,
        "refused": refused,
        "forged": forged,
        "told": all_told,
    },
    sys.stdout,
)
