"""One piece of Python a line, answered by one line: `ok VALUE` or `raised TRACEBACK`."""

import re
import sys
import traceback

UNESCAPED = {"n": "\n", "r": "\r", "\\": "\\"}


def in_many_lines(line):
    return re.sub(r"\\(.)", lambda match: UNESCAPED[match[1]], line)


def in_one_line(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


# What the code prints must not be taken for an answer.
answers, sys.stdout = sys.stdout, sys.stderr
names = {"__name__": "session"}
for line in sys.stdin:
    how, _, code = line.rstrip("\n").partition(" ")
    try:
        value = eval(compile(in_many_lines(code), "session", how), names)
        answer = f"ok {in_one_line(str(value))}"
    except Exception:
        answer = f"raised {in_one_line(traceback.format_exc())}"
    print(answer, file=answers, flush=True)
