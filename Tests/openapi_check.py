#!/usr/bin/env python3
"""schemathesis over the document that `tessera serve` serves: Tests/openapi_check.py PROGRAM MODEL EXAMPLES"""
import os
import subprocess
import sys
import tempfile

from serve import Service  # reads PROGRAM and MODEL


def main(folder):
    # Jobs stay small, and no rate limit hides the other answers.
    service = Service(folder, "--max-pixels", "65536", "--max-steps", "4",
                      "--max-evaluations", "200", "--max-requests-per-second", "100000")
    # A finished job to find.
    service.wait(service.submit(settings={"size": "64x64", "steps": 1})["id"], "done")
    base = f"http://127.0.0.1:{service.port}"
    checks = ("not_a_server_error,status_code_conformance,content_type_conformance,"
              "response_schema_conformance,response_headers_conformance,unsupported_method")
    status = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run",
         f"{base}/api/v1/openapi.json", "--checks", checks, "--max-examples", sys.argv[3],
         "--seed", "1", "--suppress-health-check", "all", "--request-timeout", "30",
         # Event streams never end.
         "--exclude-path", "/api/v1/events"]).returncode
    assert service.process.poll() is None, service.errors()
    service.stop()
    sys.exit(status)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
