#!/usr/bin/env python3
"""Sample driver in Python 3 (standard library only): a made-up light board
with a PIN pad that speaks protocol version 1 of the vendor slot; see
vendor-driver.md. Copy it and put your library where the comments say.

--pad says how a PIN change ends: ok, wrong_pin, locked, mismatch, or idle,
where nobody types until the request is cancelled or its time is over.
"""

import argparse
import base64
import json
import sys
import threading
import time

KEY_TIME = 0.005  # seconds between two keys of the made-up person at the pad
WLT_SIZE = 1024

_writing = threading.Lock()


def say(**message):
    """Writes one line. Only here, under a lock, so that lines never mix."""
    with _writing:
        sys.stdout.buffer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()


def work(order, cancelled, pad):
    """Gives the one reply that every request gets, cancelled ones too."""
    try:
        fields = do(order, cancelled, pad)
    except Exception as error:  # what the terminal must not wait for
        # The error's kind only: its text may hold somebody's data.
        print("failed:", type(error).__name__, file=sys.stderr)
        fields = {"ok": False, "error": "device"}
    say(type="reply", id=order["id"], **fields)


def do(order, cancelled, pad):
    what = order["do"]
    if what == "health.check":  # ask your device here
        return {"ok": True}
    if what == "lights.set":  # switch the lamps order["args"]["on"] on here, all others off
        return {"ok": True}
    if what == "pin.change":
        return change_pin(order, cancelled, pad)
    if what == "photo.wlt":
        if len(base64.b64decode(order["args"]["wlt"])) != WLT_SIZE:
            return {"ok": False, "error": "bad_request"}
        # decode with your library here; this is a grey picture of that size
        return {"ok": True, "result": {"image": base64.b64encode(grey_bmp(102, 126)).decode()}}
    return {"ok": False, "error": "unsupported"}


def change_pin(order, cancelled, pad):
    """Tells how many digits were typed, never which."""
    end = time.monotonic() + order["ms"] / 1000
    for step in ("pin.old", "pin.new", "pin.again"):
        for typed in range(7):
            say(type="event", id=order["id"], event=step, typed=typed)
            wait = max(0, end - time.monotonic()) if pad == "idle" else KEY_TIME
            if cancelled.wait(wait):
                return {"ok": False, "error": "cancelled"}
            if time.monotonic() >= end:
                return {"ok": False, "error": "timeout"}
    if pad == "ok":
        return {"ok": True}
    if pad == "wrong_pin":
        return {"ok": False, "error": pad, "left": 5}
    return {"ok": False, "error": pad}


def grey_bmp(width, height):
    """A grey 24-bit BMP."""
    row = (width * 3 + 3) // 4 * 4
    size = 54 + row * height
    number = lambda v, n=4: v.to_bytes(n, "little")
    return (b"BM" + number(size) + number(0) + number(54) + number(40) + number(width) + number(height)
            + number(1, 2) + number(24, 2) + bytes(24) + b"\x99" * (row * height))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pad", default="ok")
    pad = parser.parse_args().pad
    current, cancelled = 0, threading.Event()
    for line in sys.stdin.buffer:  # ends when the terminal goes
        order = json.loads(line)
        kind = order["type"]
        if kind == "hello":
            say(type="hello", version=1, name="示例灯板和密码键盘", demo=True,
                can=["lights.set", "pin.change", "photo.wlt"])
            say(type="health", state="ready")
        elif kind == "request":
            current, cancelled = order["id"], threading.Event()
            threading.Thread(target=work, args=(order, cancelled, pad), daemon=True).start()
        elif kind == "cancel":
            if order["id"] == current:  # one that was just answered is nobody's any more
                cancelled.set()
        elif kind == "bye":
            return


main()
