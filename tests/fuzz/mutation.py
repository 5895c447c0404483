"""Broken copies of good input, the same ones each time."""

import copy
import random

_NUMBERS = (-1, 0, 2**63, 10**400, 1e308, float('nan'), float('inf'))
ODD = (*_NUMBERS, None, True, '', 'x', '\0', '\ud800', [], [[]], {}, {'id': 1}, [1, 2])


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten, doubled or swapped in one to three places."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(data) + 1), rng.randint(1, 16)
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at : at + length] = rng.randbytes(min(length, len(data) - at))
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif at < len(data):
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def mutate_json(content: object, rng: random.Random) -> object:
    """With one to three values anywhere removed, doubled or replaced by odd ones."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(content))
        if not places:
            break
        # Level by level, or the many numbers of the boxes would be all that changes.
        depth = rng.choice(sorted({depth for _, _, depth in places}))
        owner, key, _ = rng.choice([place for place in places if place[2] == depth])
        kind = rng.randrange(4)
        if kind == 0:
            del owner[key]
        elif kind == 1 and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        elif kind == 2:
            owner[key] = copy.deepcopy(rng.choice([owner[other] for other in _keys(owner)]))
        else:
            owner[key] = copy.deepcopy(rng.choice(ODD))
    return content


def _keys(owner: object) -> list:
    return list(owner) if isinstance(owner, dict) else list(range(len(owner)))


def _places(owner: object, depth: int = 0):
    if isinstance(owner, (dict, list)):
        for key in _keys(owner):
            yield owner, key, depth
            yield from _places(owner[key], depth + 1)
