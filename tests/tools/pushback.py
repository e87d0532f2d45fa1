"""A client that retries by its service config, for the tests of the gateway.

It makes one call with an encoded message, and says as JSON what came of it. The client
is grpcio's own core: what it does with `grpc-retry-pushback-ms` is what any client of
that core does.
"""

import argparse
import json

import grpc

CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.05s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("rpc", help="package.Service/Method")
    parser.add_argument("message", help="the encoded request in hexadecimal")
    arguments = parser.parse_args()

    options = [("grpc.enable_retries", 1), ("grpc.service_config", json.dumps(CONFIG))]
    with grpc.insecure_channel(arguments.address, options=options) as channel:
        grpc.channel_ready_future(channel).result(timeout=10)
        call = channel.unary_unary(
            f"/{arguments.rpc}",
            request_serializer=lambda message: message,
            response_deserializer=lambda message: message,
        )
        try:
            _, ended = call.with_call(bytes.fromhex(arguments.message), timeout=20)
        except grpc.RpcError as error:
            ended = error
        told = {
            name: value
            for name, value in [*ended.initial_metadata(), *ended.trailing_metadata()]
            if isinstance(value, str)
        }
    print(json.dumps({"code": ended.code().name, "metadata": told}))


main()
