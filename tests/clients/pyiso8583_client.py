"""Sends and reads real messages with pyiso8583, a library that knows nothing of Switchyard.

Usage: pyiso8583_client.py PLAIN_PORT TLS_PORT TLS_FOLDER

Prints one line for each check that fails, and at the end 'N passed, N failed'.
"""

import itertools
import socket
import ssl
import struct
import sys
import time

import iso8583
from iso8583.specs import default_ascii as SPEC

WAIT_S = 20
STANS = itertools.count(1)


def tags(elements):
    """DE48: two-character tag, three-digit length, value."""
    return "".join(f"{tag}{len(value):03}{value}" for tag, value in elements)


def read_tags(text):
    found = {}
    while text:
        length = int(text[2:5])
        found[text[:2]] = text[5 : 5 + length]
        text = text[5 + length :]
    return found


def sale(product, processing, amount, account="", card=""):
    now = time.gmtime()
    request = {
        "t": "0200",
        "3": processing,
        "4": f"{amount:012}",
        "7": time.strftime("%m%d%H%M%S", now),
        "11": f"{next(STANS):06}",
        "12": time.strftime("%H%M%S", now),
        "13": time.strftime("%m%d", now),
        "32": "100001",
        "41": "T0000021",
        "42": "SHOP00000000003",
        "48": tags([("01", product)] + ([("02", account)] if account else []) + [("04", "till 7")]),
        "49": "978",
    }
    if card:
        request["2"] = card
    return request


def management(code):
    when = time.strftime("%m%d%H%M%S", time.gmtime())
    return {"t": "0800", "7": when, "11": f"{next(STANS):06}", "32": "100001", "70": code}


class Link:
    """A connection to a conduit: two-byte length, then the message."""

    def __init__(self, stream):
        self.stream = stream

    def ask(self, request):
        message, _ = iso8583.encode(request, SPEC)
        self.stream.sendall(struct.pack(">H", len(message)) + message)
        (length,) = struct.unpack(">H", self.exactly(2))
        answer, _ = iso8583.decode(self.exactly(length), SPEC)
        return answer

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.stream.recv(count - len(data))
            if not part:
                raise ConnectionError("the switch closed the connection")
            data += part
        return data


def plain(port):
    return Link(socket.create_connection(("127.0.0.1", port), WAIT_S))


def secure(port, folder, version):
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.load_cert_chain(f"{folder}/client-100001.pem", f"{folder}/client-100001.key")
    context.minimum_version = context.maximum_version = version
    stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), WAIT_S), server_hostname="localhost")
    return Link(stream)


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what, good, seen):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {seen}")


SALES = [
    ("a voucher from stock", lambda: sale("VOUCHER10", "000000", 1000), "00"),
    ("a voucher just in time", lambda: sale("VOUCHERJIT", "000000", 1500), "00"),
    ("a recharge at telco-a", lambda: sale("TOPUP", "210000", 1000, "0612345678"), "00"),
    ("a recharge at telco-b", lambda: sale("TOPUP", "210000", 1000, "0712345678"), "00"),
    ("a recharge with a fallback", lambda: sale("DATA5", "210000", 500, "0812345683"), "00"),
    ("a card", lambda: sale("GIFT25", "280000", 2500, card="6006491234567811"), "00"),
    ("a bill", lambda: sale("ENERGY", "500000", 2000, "12345678901"), "00"),
    ("a stored-value account", lambda: sale("WALLET", "210000", 500, "PY1"), "00"),
    ("a refusal", lambda: sale("TOPUP", "210000", 1000, "0612345680"), "05"),
    ("an account not valid", lambda: sale("TOPUP", "210000", 1000, "0612345681"), "14"),
    ("a limit", lambda: sale("TOPUP", "210000", 1000, "0612345682"), "61"),
    ("a silent supplier", lambda: sale("TOPUP", "210000", 1000, "0612345685"), "68"),
    ("a product that is unknown", lambda: sale("NOSUCH", "210000", 1000, "0612345678"), "57"),
    ("an amount out of range", lambda: sale("TOPUP", "210000", 20001, "0612345678"), "13"),
]
# Refusals before admission: nothing was performed, and a repeat is a new attempt with a DE37 of its own.
REFUSED = ("57", "13")
ECHOED = ("3", "4", "7", "11", "12", "13", "32", "41", "42", "49")


def check_sale(checks, where, link, what, request, code):
    answer = link.ask(request)
    checks.that(f"{what} on {where}", (answer["t"], answer["39"]) == ("0210", code), answer)
    echoed = all(answer.get(de) == request[de] for de in ECHOED)
    checks.that(f"{what} on {where}, echoed", echoed and answer.get("2") == request.get("2"), answer)
    invented = len(answer["15"]) == 4 and len(answer["37"]) == 12 and ("38" in answer) == (code == "00")
    checks.that(f"{what} on {where}, DE15, 37, 38", invented, answer)
    told = read_tags(answer.get("48", ""))
    checks.that(f"{what} on {where}, third-party identifiers", told.get("04") == "till 7", told.keys())
    if "VOUCHER" in request["48"]:
        complete = len(told.get("20", "")) == 16 and all(told.get(tag) for tag in ("21", "22", "25"))
        checks.that(f"{what} on {where}, PIN, serial, expiry, value", complete, told.keys())
    if code in REFUSED:
        return
    repeat = dict(request, t="0201")
    repeat["7"] = request["7"][:8] + f"{(int(request['7'][8:]) + 7) % 60:02}"
    again = link.ask(repeat)
    same = {de: value for de, value in again.items() if de != "7"} == {de: value for de, value in answer.items() if de != "7"}
    checks.that(f"the repeat of {what} on {where}", same and again["7"] == repeat["7"], again)


def check_link(checks, where, link):
    for code in ("001", "301", "002"):
        answer = link.ask(management(code))
        checks.that(f"network management {code} on {where}", (answer["t"], answer["39"]) == ("0810", "00"), answer)
    for what, request, code in SALES:
        check_sale(checks, where, link, what, request(), code)


def main():
    plain_port, tls_port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    checks = Checks()
    check_link(checks, "the plain conduit", plain(plain_port))
    check_link(checks, "TLS 1.3", secure(tls_port, folder, ssl.TLSVersion.TLSv1_3))
    check_link(checks, "TLS 1.2", secure(tls_port, folder, ssl.TLSVersion.TLSv1_2))
    other = secure(tls_port, folder, ssl.TLSVersion.TLSv1_3).ask(dict(sale("WALLET", "210000", 500, "PY1"), **{"32": "100002"}))
    checks.that("another network than the certificate's", other["39"] == "31", other)
    print(f"pyiso8583: {checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
