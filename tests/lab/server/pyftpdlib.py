"""pyftpdlib for the lab: arguments are banner, root, port, addresses."""
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import MultiprocessFTPServer

banner, root, port, addresses = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
os.umask(0o022)
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_anonymous(root, perm="elradfmwMT")
FTPHandler.banner = banner + " pyftpdlib"
loop = IOLoop.instance()
# A process for each session. With several in one loop, pyftpdlib 1.5.7 forgets one now and then and its client hangs;
# with a thread each, it closes another's connection once in a thousand times.
servers = [MultiprocessFTPServer((address, port), FTPHandler, ioloop=loop) for address in addresses]
loop.loop()
