#!/usr/bin/env python3
"""Puts published vectors to a PKCS#11 module and compares the counts with the committed ones.

Usage: vectors.py MODULE CACHE EXPECTED [--write] [--only TEXT]
The token is the one with the label $TOKEN; $PIN opens it. For each file one line tells how many valid vectors were
accepted, how many invalid ones refused, and how many could not be tried, with the reason. A wrong answer, or a count
that differs from the committed one in either direction, is 'not ok'.
"""

import collections
import glob
import json
import os
import sys

from cryptoki import CKR, Refused, Session, Unsupported
from formats import ACCEPTABLE, INVALID, VALID
from suites import SUITES

# A valid vector that is refused with one of these asks for something that the module says it does not have.
LIMITS = {"CKR_MECHANISM_INVALID", "CKR_MECHANISM_PARAM_INVALID", "CKR_KEY_SIZE_RANGE", "CKR_CURVE_NOT_SUPPORTED",
          "CKR_FUNCTION_NOT_SUPPORTED"}


def run(session, reader, put, path):
    """Returns the file's counts, and descriptions of the answers that are wrong."""
    counts, wrong = collections.Counter(), []
    for vector in reader(path):
        failed = True
        try:
            agrees, reason = put(session, vector), "the output differs"
            failed = False
        except Unsupported as limit:
            counts[f"unsupported: {limit}"] += 1
            continue
        except Refused as refusal:
            agrees, reason = False, str(refusal)
            if vector.result == VALID and CKR.get(refusal.rv) in LIMITS:
                counts[f"unsupported: {refusal}"] += 1
                continue
        finally:
            session.end_vector(failed)
        if vector.result == ACCEPTABLE:
            counts["acceptable, accepted" if agrees else "acceptable, refused"] += 1
        elif agrees == (vector.result == VALID):
            counts["accepted" if agrees else "refused"] += 1
        else:
            counts["wrong"] += 1
            wrong.append(f"vector {vector.id} is {vector.result}: {'accepted' if agrees else reason}"
                         f" {vector.fields.get('comment', '')}")
    session.end_file()
    return dict(sorted(counts.items())), wrong


def main():
    module, cache, expected_path = sys.argv[1:4]
    write = "--write" in sys.argv
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    expected = json.load(open(expected_path)) if os.path.exists(expected_path) else {}
    session = Session(module, os.environ["TOKEN"], os.environ["PIN"])
    totals, measured, bad = collections.Counter(), {}, 0
    for pattern, reader, put in SUITES:
        paths = sorted(glob.glob(os.path.join(cache, pattern)))
        if not paths:
            print(f"not ok - vectors: {pattern} is among the vectors")
            bad += 1
        for path in paths:
            name = os.path.relpath(path, cache)
            if name in measured:
                name += " (bytes)"
            if only not in name:
                continue
            counts, wrong = run(session, reader, put, path)
            measured[name] = counts
            totals.update({key.split(":")[0]: value for key, value in counts.items() if not key.startswith("unsupported")})
            totals["unsupported"] += sum(value for key, value in counts.items() if key.startswith("unsupported"))
            told = ", ".join(f"{value} {key}" for key, value in counts.items()) or "no vector"
            good = not wrong and counts and (write or counts == expected.get(name))
            print(f"{'ok' if good else 'not ok'} - vectors: {name}: {told}", flush=True)
            if not good:
                bad += 1
                for line in wrong[:6]:
                    print(f"#   {line}")
                if not wrong and counts:
                    print(f"#   expected {expected.get(name)}")
    session.close()
    if write:
        with open(expected_path, "w", encoding="utf-8") as file:
            json.dump(measured, file, indent=1, sort_keys=True)
            file.write("\n")
    elif not only:
        missing = sorted(set(expected) - set(measured))
        print(f"{'not ok' if missing else 'ok'} - vectors: every file that is expected was put to the module {missing or ''}")
        bad += bool(missing)
    print("# vectors: " + ", ".join(f"{value} {key}" for key, value in sorted(totals.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
