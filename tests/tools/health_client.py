"""What gRPC's own health client is told: each answer is a line of JSON. `check` and `watch`
take names of services, "-" for the whole server; `watch` goes on until the stream ends.
"""

import argparse
import json

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

STATUS = health_pb2.HealthCheckResponse.ServingStatus


def tell(**record):
    print(json.dumps(record), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("method", choices=["check", "list", "watch"])
    parser.add_argument("services", nargs="*")
    arguments = parser.parse_args()

    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(arguments.address))
    if arguments.method == "list":
        statuses = stub.List(health_pb2.HealthListRequest(), timeout=10).statuses
        tell(statuses={name: STATUS.Name(it.status) for name, it in statuses.items()})
    for service in arguments.services:
        request = health_pb2.HealthCheckRequest(service=service.removeprefix("-"))
        try:
            if arguments.method == "check":
                tell(service=service, status=STATUS.Name(stub.Check(request, timeout=10).status))
            else:
                for answer in stub.Watch(request, timeout=60):
                    tell(service=service, status=STATUS.Name(answer.status))
        except grpc.RpcError as error:
            trailers = {key: value for key, value in error.trailing_metadata() if isinstance(value, str)}
            tell(service=service, code=error.code().name, trailers=trailers)


if __name__ == "__main__":
    main()
