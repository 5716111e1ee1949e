"""What every client of a mesh needs: stubs, a connection, ids that can be derived, retries."""

import hashlib
import pathlib
import random
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

CONTRACTS = pathlib.Path(__file__).resolve().parents[2] / "proto"

# Nothing was done, or it is not known whether it was: the same call again, with the same id.
REPEAT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
TRIES = 8
CALL_SECONDS = 20


def make_stubs(directory):
    """Generates the stubs from the contracts and makes them importable."""
    google = pathlib.Path(protoc.__file__).parent / "_proto"
    files = [str(file.relative_to(CONTRACTS)) for file in CONTRACTS.rglob("*.proto")]
    options = [f"-I{CONTRACTS}", f"-I{google}", f"--python_out={directory}", f"--grpc_python_out={directory}"]
    if protoc.main(["protoc", *options, *files]) != 0:
        sys.exit("the stubs cannot be generated")
    sys.path.insert(0, str(directory))


def endpoint(mesh, role):
    """Where a role of the mesh of a data directory answers: all in one process, or each in its own."""
    for place in (mesh / "endpoint", mesh / f"endpoint.{role}"):
        if place.exists():
            return place.read_text().strip().removeprefix("https://")
    sys.exit(f"{mesh} has neither endpoint nor endpoint.{role}: start the mesh first")


def connect(mesh, name, role):
    """A channel to a role of the mesh of a data directory, under one of its certificates."""
    mesh = pathlib.Path(mesh)
    certificates = mesh / "certs"
    credentials = grpc.ssl_channel_credentials(
        (certificates / "ca.pem").read_bytes(),
        (certificates / f"{name}.key").read_bytes(),
        (certificates / f"{name}.pem").read_bytes(),
    )
    # Finds a connection that is dead, also where a subscription has nothing to say for hours.
    options = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]
    return grpc.secure_channel(endpoint(mesh, role), credentials, options)


def derived_id(at_ms, *parts):
    """A UUIDv7 of a time and a hash: the same step gives the same id, also after a crash."""
    text = "\0".join(str(part) for part in parts)
    octets = bytearray(at_ms.to_bytes(6, "big") + hashlib.sha256(text.encode()).digest()[:10])
    octets[6] = octets[6] & 0x0F | 0x70
    octets[8] = octets[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(octets)))


class Refused(Exception):
    """The mesh said no; `reason` is stable, docs/ERRORS.md has what to do."""

    def __init__(self, status, reason, message):
        super().__init__(f"{message} ({reason})")
        self.status, self.reason = status, reason


def details_of(error):
    """The reason of a refusal, and after how many seconds to call again if it says so."""
    reason, delay = "UNEXPLAINED", None
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, delay


def confirm(step):
    """A person says yes to each step."""
    print(f"{step}?", flush=True)
    if sys.stdin.readline().strip() != "yes":
        sys.exit(0)


def pause(attempt, delay):
    """Waits as told, else longer each time; never all clients at the same moment."""
    wait = delay if delay is not None else min(30, 0.25 * 2**attempt)
    time.sleep(wait * random.uniform(1, 1.5))


def call(method, request):
    """Calls with retries. The id in the request makes a repeat harmless."""
    for attempt in range(TRIES):
        try:
            return method(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            reason, delay = details_of(error)
            # A message that is too large is too large the next time.
            last = attempt == TRIES - 1 or reason == "MESSAGE_TOO_LARGE"
            if error.code() not in REPEAT or last:
                raise Refused(error.code(), reason, error.details()) from error
            pause(attempt, delay)
