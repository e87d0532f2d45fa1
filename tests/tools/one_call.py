"""One unary call over gRPC's own library, with a service config: a line of JSON tells its
code. The request is given as hexadecimal digits.
"""

import argparse
import json
import pathlib

import grpc


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("rpc")
    parser.add_argument("request")
    parser.add_argument("--config", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    options = [("grpc.service_config", arguments.config.read_text())]
    channel = grpc.insecure_channel(arguments.address, options)
    call = channel.unary_unary(f"/{arguments.rpc}")
    try:
        call(bytes.fromhex(arguments.request), timeout=30)
        print(json.dumps({"code": "OK"}))
    except grpc.RpcError as error:
        print(json.dumps({"code": error.code().name, "details": error.details()}))


if __name__ == "__main__":
    main()
