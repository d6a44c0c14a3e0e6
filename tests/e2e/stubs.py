"""Makes Python stubs from the .proto files; `import stubs` first, then `from g2ll.v1 import ...`."""

import glob
import os
import subprocess
import sys
import tempfile

import support

FOLDER = tempfile.TemporaryDirectory(prefix="g2ll-stubs-")


def make():
    proto = os.path.join(support.REPOSITORY, "proto")
    files = [os.path.relpath(path, proto) for path in glob.glob(f"{proto}/g2ll/v1/*.proto")]
    subprocess.run(["protoc", "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", "-I", proto,
                    f"--python_out={FOLDER.name}", f"--grpc_out={FOLDER.name}", *files], check=True)
    sys.path.insert(0, FOLDER.name)


make()
