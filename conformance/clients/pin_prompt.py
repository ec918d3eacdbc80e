"""Types at a command that asks for a PIN, at a terminal of its own. Usage: pin_prompt.py PROMPT TEXT EXPECTED COMMAND...

Waits for PROMPT, types TEXT (escapes as in Python), and prints what the terminal showed. Exits with 0 when the command ended with
EXPECTED, its exit code or minus the number of the signal that ended it, when the terminal echoes what is typed again, and when TEXT was
not shown.
"""
import os
import pty
import signal
import sys
import termios

prompt, text, expected, *command = sys.argv[1:]
text = text.encode().decode("unicode_escape").encode()
process, terminal = pty.fork()
if process == 0:
    # As a script does: the command in the foreground, and nobody who sets the terminal right behind it.
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    echoes = bool(termios.tcgetattr(0)[3] & termios.ECHO)
    print(f"ended with {status}, echo {echoes}", flush=True)
    os._exit(0 if status == int(expected) and echoes else 1)
shown = b""
try:
    while prompt.encode() not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, text)
    while part := os.read(terminal, 1000):
        shown += part
except OSError:
    pass  # Linux's way to say that the other side is closed
print(shown.decode(errors="replace"))
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
sys.exit(1 if text.strip() in shown else status)
