"""Plain callers for tests: unary calls at a steady rate over gRPC's own library, spread over
all addresses, without a retry policy, without waiting for a server and with the library's
defaults otherwise. They go on until the input ends; then one line of JSON tells how many
calls ended with which code, what the first failures said, and at which rate calls began.
"""

import argparse
import collections
import json
import sys
import threading
import time

import grpc


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rpc")
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--rate", type=int, default=200, help="calls a second, of all callers")
    parser.add_argument("--callers", type=int, default=4)
    arguments = parser.parse_args()

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    calls = [caller(number, arguments) for number in range(arguments.callers)]
    print(json.dumps({"ready": len(calls)}), flush=True)

    codes, failures, slowest, lock = collections.Counter(), [], [0.0], threading.Lock()
    pending = threading.Semaphore(0)

    def ended(call, start):
        code = call.code()
        with lock:
            codes[code.name] += 1
            slowest[0] = max(slowest[0], time.monotonic() - start)
            if code is not grpc.StatusCode.OK and len(failures) < 5:
                failures.append(call.details())
        pending.release()

    count, begin = 0, time.monotonic()
    while not stop.is_set():
        start = time.monotonic()
        call = calls[count % len(calls)].future(b"", timeout=20)
        call.add_done_callback(lambda call, start=start: ended(call, start))
        count += 1
        time.sleep(max(0.0, begin + count / arguments.rate - time.monotonic()))
    seconds = time.monotonic() - begin
    for _ in range(count):
        pending.acquire()
    result = {"codes": codes, "failures": failures, "rate": count / seconds, "slowest": slowest[0]}
    print(json.dumps(result), flush=True)


def caller(number, arguments):
    """An rpc on a channel of its own, with connections of its own."""
    options = [
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.primary_user_agent", f"caller-{number}"),
        # As for a name that has all addresses: a list of them is no authority.
        ("grpc.default_authority", "partner-gateway"),
    ]
    channel = grpc.insecure_channel(f"ipv4:{','.join(arguments.addresses)}", options)
    grpc.channel_ready_future(channel).result(timeout=20)
    return channel.unary_unary(f"/{arguments.rpc}")


if __name__ == "__main__":
    main()
