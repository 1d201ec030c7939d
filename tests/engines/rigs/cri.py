"""Calls the CRI of containerd as the kubelet does: cri.py SOCKET METHOD, with a request on standard input.

A request is JSON: an object whose keys are field numbers of the message (cri-api, runtime/v1/api.proto); values are
texts, numbers, objects for nested messages, and lists for repeated fields. Prints the first text of the answer.
"""

import json
import sys

import grpc

PATIENCE = 60  # seconds


def varint(number):
    encoded = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        encoded.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


def message(fields):
    return b"".join(field(int(number), value) for number, value in fields.items())


def field(number, value):
    if isinstance(value, list):
        return b"".join(field(number, item) for item in value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    encoded = message(value) if isinstance(value, dict) else value.encode()
    return varint(number << 3 | 2) + varint(len(encoded)) + encoded


def first_text(answer):
    """The first field of an answer, if it is a text of less than 128 bytes: an id."""
    if answer[:1] != b"\x0a":
        return ""
    return answer[2 : 2 + answer[1]].decode()


def main():
    socket, method = sys.argv[1:]
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        call = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
        try:
            print(first_text(call(message(json.load(sys.stdin)), timeout=PATIENCE)))
        except grpc.RpcError as error:
            sys.exit(error.details())


main()
