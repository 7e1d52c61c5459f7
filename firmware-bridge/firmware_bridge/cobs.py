"""Consistent overhead byte stuffing (protocol.md, section 1): data without zero bytes, so that zero ends a frame."""


class CobsError(ValueError):
    """These bytes are no COBS encoding."""


def encode(data: bytes) -> bytes:
    out = bytearray()
    pieces = data.split(b"\0")
    for i, piece in enumerate(pieces):
        while len(piece) >= 254:
            out.append(255)
            out += piece[:254]
            piece = piece[254:]
            if not piece and i == len(pieces) - 1:
                return bytes(out)
        out.append(len(piece) + 1)
        out += piece
    return bytes(out)


def decode(data: bytes) -> bytes:
    out = bytearray()
    at, end = 0, len(data)
    while at < end:
        code = data[at]
        if code == 0 or at + code > end:
            raise CobsError(f"byte {at} says {code}, {end - at} are left")
        piece = data[at + 1 : at + code]
        if 0 in piece:
            raise CobsError("a zero within a frame")
        out += piece
        at += code
        if code < 255 and at < end:
            out.append(0)
    return bytes(out)
