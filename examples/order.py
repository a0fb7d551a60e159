"""A shop that orders, in Python with its standard library alone: one order with an Idempotency-Key, sent until there is one clear
answer, and looked up until its state is final.

    python3 examples/order.py http://127.0.0.1:8080 demo mug dev:ada        beside `rushgate dev`
"""

import json
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPException

# An answer that takes longer is not waited for: the request is sent again, under the same key.
ANSWER_WITHIN_S = 5
TRIES = 8
# Where an answer does not say when to come back.
PAUSE_S = 0.5
# What can be had only later than that is not waited for.
PATIENCE_S = 60
LOOKS = 60


class Refused(Exception):
    """A clear answer that is not the one hoped for; asking again would change nothing."""


def pause(headers):
    """Retry-After is in seconds; a little more, so that not everybody comes back in the same moment."""
    said = headers.get("Retry-After", "") if headers else ""
    return (float(said) if said.isdigit() and said != "0" else PAUSE_S) * (1 + random.random() / 4)


def ask(url, token, headers=None, body=None):
    """What is clearly answered; timeouts, broken connections and what a retry can help are tried again."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", **(headers or {})})
    if body is not None:
        request.data = json.dumps(body).encode()
    last = "no answer"
    for _ in range(TRIES):
        said = None
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.headers
            try:
                problem = json.load(error)
            except (ValueError, OSError, HTTPException):
                problem = {"retryable": True, "detail": "the answer cannot be read"}
            last = f"{error.code} {problem.get('reason')}: {problem.get('detail')}"
            if not problem.get("retryable") or pause(said) > PATIENCE_S:
                raise Refused(last) from None
        except (OSError, HTTPException, ValueError) as error:
            last = str(error) or type(error).__name__
        time.sleep(pause(said))
    raise Refused(f"no clear answer after {TRIES} tries: {last}")


def order(gateway, campaign, token, key, wanted):
    """The key makes it safe to ask as often as it takes: whatever became of an earlier request, a retry is the same order."""
    url = f"{gateway}/v1/campaigns/{urllib.parse.quote(campaign, safe='')}/orders"
    return ask(url, token, {"Content-Type": "application/json", "Idempotency-Key": key}, wanted)


def settled(gateway, campaign, token, order_id):
    """Asks until nothing will change by itself any more."""
    url = f"{gateway}/v1/campaigns/{urllib.parse.quote(campaign, safe='')}/orders/{order_id}"
    for _ in range(LOOKS):
        shown = ask(url, token)
        if shown["state"] not in ("pending", "accepted"):
            return shown
        time.sleep(PAUSE_S)
    raise Refused("the order was taken and has not landed yet: look again later")


def main(args):
    if len(args) < 4:
        print("usage: order.py http://HOST:PORT CAMPAIGN SKU TOKEN [KEY]", file=sys.stderr)
        return 2
    gateway, campaign, sku, token = args[:4]
    # A shop keeps the key with the buyer's cart, so that a retry tomorrow is the same order, too.
    key = args[4] if len(args) > 4 else f"cart-{uuid.uuid4()}"
    try:
        taken = order(gateway, campaign, token, key, {"sku": sku, "quantity": 1})
        print("taken:", json.dumps(taken))
        print("settled:", json.dumps(settled(gateway, campaign, token, taken["order"])))
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
