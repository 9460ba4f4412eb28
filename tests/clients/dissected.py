"""Compares what tshark's ISO 8583 dissector reads in captured traffic with what must be in it.

Usage: dissected.py CAPTURE PORT CONDUIT, CONDUIT `plain` (bitmaps in hex) or `binbitmap` (binary bitmaps).

Prints one line for each check that fails, and at the end 'N passed, N failed'.
"""

import subprocess
import sys

FIELDS = ["tcp.srcport", "iso8583.len", "iso8583.mti", "iso8583.map1", "iso8583.map2"]
ELEMENTS = [3, 4, 7, 11, 12, 13, 15, 32, 37, 38, 39, 41, 42, 49]
PREFERENCES = {
    "plain": ["charset:Digits represented as ASCII Characters", "binencode:Bin data represented as Hex Ascii characters"],
    "binbitmap": ["charset:Digits represented as ASCII Characters", "binencode:Bin data not encoded"],
}


def dissect(capture, port, conduit):
    """One dictionary for each message."""
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={port},iso8583", "-Y", "iso8583", "-T", "fields"]
    command += ["-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=;"]
    for preference in ["len_endian:Big endian"] + PREFERENCES[conduit]:
        command += ["-o", f"iso8583.{preference}"]
    names = FIELDS + [f"iso8583.bit{element}" for element in ELEMENTS] + ["_ws.malformed"]
    for name in names:
        command += ["-e", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [dict(zip(names, line.split("|"))) for line in lines]


def announced(message):
    """Numbers of the elements that the bitmaps announce."""
    digits = (message["iso8583.map1"] + message["iso8583.map2"]).replace(" ", "").replace(":", "")
    bits = "".join(f"{int(digit, 16):04b}" for digit in digits)
    return {at for at, bit in enumerate(bits, 1) if bit == "1" and at != 1}


def main():
    capture, port, conduit = sys.argv[1:4]
    messages = dissect(capture, port, conduit)
    passed = failed = 0
    requests = {}
    for message in messages:
        mti, stan = message["iso8583.mti"], message["iso8583.bit11"]
        problems = []
        if message["_ws.malformed"]:
            problems.append("malformed")
        if not message["iso8583.len"].isdigit() or len(mti) != 4 or len(stan) != 6:
            problems.append("length, MTI or DE11")
        problems += [f"DE{e}" for e in ELEMENTS if (e in announced(message)) != bool(message[f"iso8583.bit{e}"])]
        if message["tcp.srcport"] == port:
            request = requests.get(stan)
            if request is None or len(message["iso8583.bit39"]) != 2:
                problems.append("a response without its request, or without DE39")
            elif any(message[f"iso8583.bit{e}"] != request[f"iso8583.bit{e}"] for e in (3, 4, 11, 12, 13, 32, 41, 42, 49)):
                problems.append("an element that is not echoed")
        else:
            requests[stan] = message
        if problems:
            failed += 1
            print(f"FAILED {mti} {stan}: {', '.join(problems)}: {message}")
        else:
            passed += 1
    answers = [message for message in messages if message["tcp.srcport"] == port]
    codes = {message["iso8583.bit39"] for message in answers}
    if len(answers) < 20 or not {"00", "05", "68"} <= codes:
        failed += 1
        print(f"FAILED: {len(answers)} responses, with DE39 {sorted(codes)}")
    print(f"tshark ({conduit}): {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
