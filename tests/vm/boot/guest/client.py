"""FTP clients of the boot test, in one process: an emulated processor starts processes slowly.

client.py transfers BACKENDS     one file in every mode, often enough that each backend is met; prints what was seen
client.py sessions NUMBER        opens sessions, and for each line on standard input moves files on every one, until "quit"
client.py download BYTES         reads a large file slowly until there is a line on standard input, and then the rest
"""

import ftplib
import io
import select
import socket
import sys
import time

VIP4, VIP6 = "192.0.2.10", "2001:db8::10"
FILE = "file"
TIMEOUT = 60
with open("/srv/ftp-ftp1/" + FILE, "rb") as f:
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
    for word in iter(sys.stdin.readline, "quit\n"):
        if not word:
            raise RuntimeError("nobody told what to do")
        slowest = 0.0
        for c in clients:
            begin = time.monotonic()
            get(c)
            slowest = max(slowest, time.monotonic() - begin)
        print("%d of %d sessions moved 2 files each, the slowest in %.1f s" % (number, number, slowest), flush=True)
    for c in clients:
        c.quit()


def download(size):
    c = session(VIP4, "PASV")
    c.voidcmd("TYPE I")
    data = c.transfercmd("RETR large")
    # A small window, or all of the file is in the kernel's buffers soon.
    data.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    got = len(data.recv(4096))
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        got += len(data.recv(4096))
    meanwhile = got
    while chunk := data.recv(65536):
        got += len(chunk)
    data.close()
    c.voidresp()
    if not meanwhile < got == size:
        raise RuntimeError("%d of %d bytes, %d of them before the end" % (got, size, meanwhile))
    c.quit()
    print("a download went on (%d kB) and came whole" % (meanwhile // 1000), flush=True)


if __name__ == "__main__":
    {"transfers": transfers, "sessions": sessions, "download": download}[sys.argv[1]](int(sys.argv[2]))
