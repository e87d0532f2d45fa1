"""An OpenTelemetry collector for tests: it takes spans and metrics over OTLP/gRPC and tells
each on a line of its own, as JSON. The first line is the port that it listens on.

It stands on the protocol's own definitions and on gRPC's own library, so that it shares no
mistake with the gateway. With `--tls CERT KEY` it speaks TLS; `--fail` refuses all that it
is sent.
"""

import argparse
import json
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

LOCK = threading.Lock()


def tell(record):
    with LOCK:
        print(json.dumps(record), flush=True)


def value(any_value):
    kind = any_value.WhichOneof("value")
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def headers(context):
    return {key: text for key, text in context.invocation_metadata() if key.startswith("x-")}


class Traces(traces_grpc.TraceServiceServicer):
    def __init__(self, fails):
        self.fails = fails

    def Export(self, request, context):
        if self.fails:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    tell(
                        {
                            "span": span.name,
                            "kind": span.kind,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "state": span.trace_state,
                            "status": span.status.code,
                            "events": len(span.events),
                            "start": span.start_time_unix_nano,
                            "end": span.end_time_unix_nano,
                            "attributes": attributes(span.attributes),
                            "resource": attributes(resource.resource.attributes),
                            "headers": headers(context),
                        }
                    )
        return traces.ExportTraceServiceResponse()


class Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, fails):
        self.fails = fails

    def Export(self, request, context):
        if self.fails:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        tell(
                            {
                                "metric": metric.name,
                                "unit": metric.unit,
                                "kind": kind,
                                "attributes": attributes(point.attributes),
                                "value": point.count if kind == "histogram" else point.as_int,
                            }
                        )
        return metrics.ExportMetricsServiceResponse()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--fail", action="store_true")
    args = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    traces_grpc.add_TraceServiceServicer_to_server(Traces(args.fail), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(args.fail), server)
    if args.tls:
        cert, key = (open(path, "rb").read() for path in args.tls)
        port = server.add_secure_port(
            "localhost:0", grpc.ssl_server_credentials([(key, cert)])
        )
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell({"port": port})
    # The end of its input is its end: it goes with the test that started it.
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
