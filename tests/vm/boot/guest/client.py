"""FTP clients of the boot test, in one process: an emulated processor starts processes slowly.

client.py transfers BACKENDS     one file in every mode, often enough that each backend is met; prints what was seen
client.py sessions NUMBER        opens sessions, and for each line on standard input moves a file on every one
"""

import ftplib
import io
import socket
import sys
import time

VIP4, VIP6 = "192.0.2.10", "2001:db8::10"
FILE = "file"
TIMEOUT = 60
with open("/srv/ftp/" + FILE, "rb") as f:
    CONTENT = f.read()


class Client(ftplib.FTP):
    """One session; `mode` says how data connections are made."""

    mode = "PASV"

    def makepasv(self):
        if self.mode == "EPSV" and self.af == socket.AF_INET:
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return super().makepasv()

    def sendport(self, host, port):
        if self.mode == "EPRT":
            return self.sendcmd("EPRT |1|%s|%d|" % (host, port))
        return super().sendport(host, port)


def session(address, mode):
    c = Client(timeout=TIMEOUT)
    c.mode = mode
    c.connect(address, 21)
    c.login()
    c.set_pasv(mode in ("PASV", "EPSV"))
    return c


def get(c):
    """Fetches the file, and says which backend it came from."""
    got = io.BytesIO()
    c.retrbinary("RETR " + FILE, got.write)
    if got.getvalue() != CONTENT:
        raise RuntimeError("%s: %d bytes of another file" % (c.mode, len(got.getvalue())))
    name = []
    c.retrlines("RETR name", name.append)
    return name[0]


def transfers(backends):
    done, met = [], set()
    for address, mode in [(VIP4, m) for m in ("PASV", "EPSV", "PORT", "EPRT")] + [(VIP6, m) for m in ("EPSV", "EPRT")]:
        for _ in range(backends):
            c = session(address, mode)
            met.add(get(c))
            c.quit()
        done.append("%s%s" % (mode, "" if address == VIP4 else "/IPv6"))
    if len(met) < backends:
        raise RuntimeError("only %s served" % sorted(met))
    print("%s, %d sessions each; served by %s" % (" ".join(done), backends, " ".join(sorted(met))))


def sessions(number):
    modes = ("PASV", "EPSV", "PORT", "EPRT")
    clients = [session(VIP4, modes[i % len(modes)]) for i in range(number)]
    print("open", flush=True)
    for _ in sys.stdin:
        slowest = 0.0
        for c in clients:
            begin = time.monotonic()
            get(c)
            slowest = max(slowest, time.monotonic() - begin)
        print("%d of %d sessions moved 2 files each, the slowest in %.1f s" % (number, number, slowest), flush=True)
    for c in clients:
        c.quit()


if __name__ == "__main__":
    {"transfers": transfers, "sessions": sessions}[sys.argv[1]](int(sys.argv[2]))
