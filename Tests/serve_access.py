#!/usr/bin/env python3
"""Who may use `tessera serve`, and from where: Tests/serve_access.py PROGRAM MODEL [FLOW…]"""
import base64
import os
import subprocess
import time

from serve import MODEL, PROGRAM, SMALL, Service, run  # reads PROGRAM and MODEL


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def flow_tokens(folder):
    """As soon as there is a token every request needs one, and it allows what its scopes say."""
    service = Service(folder)
    local = service.submit()["id"]
    ann = service.tokens("new", "--user", "ann", "--note", "laptop")
    reader = service.tokens("new", "--user", "ann", "--scopes", "read")
    admin = service.tokens("new", "--user", "root", "--scopes", "admin")
    brief = service.tokens("new", "--user", "ann", "--days", "0.00001")
    listed = service.tokens("list")
    assert len(listed.splitlines()) == 4 and "laptop" in listed
    assert not any(token in listed for token in (ann, reader, admin, brief))

    # A stream ends when its token is revoked.
    passing = service.tokens("new", "--user", "eve")
    stream = service.connection()
    stream.request("GET", "/api/v1/events", headers=bearer(passing))
    events = stream.getresponse()
    assert events.status == 200
    service.tokens("revoke", passing.split("_")[1])
    time.sleep(1)
    service.submit(headers=bearer(admin) | {"Tessera-User": "eve"})
    assert events.read() == b"", "told to a token that was revoked"

    answer = service.refused(401, "token", "GET", "/api/v1/jobs")
    assert answer.getheader("WWW-Authenticate").startswith("Basic")
    for wrong in ["", "x", ann[:-1], ann + "0", ann[:-4] + "0000", brief]:
        time.sleep(1 if wrong == brief else 0)
        service.refused(401, "token", "GET", "/api/v1/jobs", headers=bearer(wrong))
    service.refused(401, "token", "POST", "/v1/images/generations", {"prompt": "a"})
    service.refused(401, "detail", "GET", "/sdapi/v1/progress")
    service.refused(401, "token", "GET", "/metrics")
    assert service.ok("GET", "/healthz") and service.ok("GET", "/readyz")

    # A user sees her own jobs, and no others.
    service.headers = bearer(ann)
    job = service.submit()
    assert job["user"] == "ann"
    assert [j["id"] for j in service.ok("GET", "/api/v1/jobs")["jobs"]] == [job["id"]]
    for method, path in [("GET", ""), ("GET", "/picture"), ("GET", "/events"), ("DELETE", ""),
                         ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume")]:
        service.refused(404, "no job", method, f"/api/v1/jobs/{local}{path}")
    service.refused(404, "no job", "PATCH", f"/api/v1/jobs/{local}", {"priority": -1})
    service.refused(403, "admin", "GET", "/api/v1/jobs?user=local")
    for method, path in [("GET", "/preview"), ("GET", "/tiles"), ("GET", "/tiles/0/0/0"), ("GET", "/views")]:
        service.refused(404, "no job", method, f"/api/v1/jobs/{local}{path}")
    service.refused(404, "no job", "POST", f"/api/v1/jobs/{local}/move", {"before": None})
    service.refused(403, "admin", "PATCH", f"/api/v1/jobs/{job['id']}", {"priority": 1})
    service.refused(403, "admin", "POST", "/api/v1/jobs", {"prompt": "a", "priority": 1})
    service.refused(403, "ann", "GET", "/api/v1/jobs", headers={"Tessera-User": "ben"})

    basic = base64.b64encode(f"anything:{ann}".encode()).decode()
    service.ok("GET", "/sdapi/v1/samplers", headers={"Authorization": f"Basic {basic}"})

    service.headers = bearer(reader)
    assert service.ok("GET", f"/api/v1/jobs/{job['id']}")["id"] == job["id"]
    service.refused(403, "submit", "POST", "/api/v1/jobs", {"prompt": "a"})
    service.refused(403, "submit", "POST", "/v1/images/generations", {"prompt": "a"})
    service.refused(403, "submit", "POST", "/sdapi/v1/txt2img", {"prompt": "a"})
    service.refused(403, "submit", "POST", "/sdapi/v1/interrupt")
    service.refused(403, "submit", "POST", f"/api/v1/jobs/{job['id']}/cancel")

    service.headers = bearer(admin)
    assert len(service.ok("GET", "/api/v1/jobs")["jobs"]) == 3
    other = service.submit(priority=3, headers={"Tessera-User": "ben"})
    assert other["user"] == "ben" and other["priority"] == 3
    for one in (local, job["id"], other["id"]):
        service.wait(one, "done")

    # She gets events for her own jobs, and for no others.
    stream = service.connection()
    stream.request("GET", "/api/v1/events", headers=bearer(ann))
    lines = stream.getresponse()
    service.wait(service.submit(headers={"Tessera-User": "ben"})["id"], "done")
    own = service.submit(headers=bearer(ann))["id"]
    event = next(line for line in iter(lines.readline, b"") if b'"job"' in line)
    assert own.encode() in event, event
    stream.close()
    service.wait(own, "done")

    service.tokens("revoke", ann.split("_")[1])
    service.refused(401, "token", "GET", "/api/v1/jobs", headers=bearer(ann))
    service.stop()


def refusal(*flags):
    """The complaint of a service that does not start."""
    done = subprocess.run([PROGRAM, "serve", "--model", MODEL, *flags], stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, timeout=60)
    assert done.returncode == 64 and done.stderr.count("\n") == 1, (done, flags)
    return done.stderr


def certificate(folder, name="own"):
    files = f"{folder}/{name}.crt", f"{folder}/{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-out", files[0], "-keyout", files[1]], check=True, stderr=subprocess.DEVNULL)
    os.chmod(files[1], 0o600)
    return files


def flow_network(folder):
    """On the network it needs tokens, and encryption by itself or by a proxy."""
    data = ("--data", f"{folder}/data", "--listen", "0.0.0.0:0")
    (crt, key), (_, foreign) = certificate(folder), certificate(folder, "other")
    tls = ("--tls-certificate", crt, "--tls-key", key)
    assert "--tls-certificate" in refusal(*data)
    assert "tessera tokens" in refusal(*data, *tls)
    assert "tessera tokens" in refusal(*data, "--reverse-proxy", "10.0.0.1")
    assert "tessera tokens" in refusal("--data", f"{folder}/data", "--reverse-proxy", "127.0.0.1")
    assert "not the key" in refusal(*data, "--tls-certificate", crt, "--tls-key", foreign)
    assert "no such file" in refusal(*data, "--tls-certificate", crt, "--tls-key", "/nowhere")
    assert "no certificate" in refusal(*data, "--tls-certificate", key, "--tls-key", key)
    assert "--tls-key" in refusal(*data, "--tls-certificate", crt)
    assert "range" in refusal(*data, "--reverse-proxy", "proxy.example")
    assert "origin" in refusal(*data, *tls, "--allow-origin", "*")
    os.chmod(foreign, 0o644)
    assert "others" in refusal(*data, "--tls-certificate", crt, "--tls-key", foreign)

    new = [PROGRAM, "tokens", "new", "--user", "ann", "--data", f"{folder}/data"]
    token = subprocess.run(new, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    service = Service(folder, *tls, listen="0.0.0.0:0", authority=crt)
    assert "https://" in service.errors()
    service.refused(401, "token", "GET", "/api/v1/jobs")
    service.headers = bearer(token)
    job = service.submit()["id"]
    service.wait(job, "done")
    assert service.ok("GET", f"/api/v1/jobs/{job}/picture").startswith(b"\x89PNG")
    # The client can follow links, even without its token.
    body = {"prompt": "a", "size": "64x64", "response_format": "url", "quality": "low"}
    url = service.ok("POST", "/v1/images/generations", body)["data"][0]["url"]
    assert url.startswith(f"https://127.0.0.1:{service.port}/"), url
    service.headers = {}
    path = "/" + url.split("/", 3)[3]
    assert service.ok("GET", path).startswith(b"\x89PNG")
    service.ok("GET", path[:-1] + ("0" if path[-1] != "0" else "1"), status=404)
    # A job's ID alone, which is in logs and lists, is not a link.
    service.ok("GET", f"/v1/pictures/{job}", status=404)

    # The commands check the certificate, and send no token without encryption.
    def ask(*words, server=f"https://127.0.0.1:{service.port}"):
        done = subprocess.run([PROGRAM, *words, "--server", server, "--quiet"], text=True, cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              env=os.environ | {"TESSERA_TOKEN": token, "XDG_CONFIG_HOME": folder})
        return done.returncode, done.stdout.strip(), done.stderr
    submit = ("submit", "--prompt", "a", "--size", "64x64", "--steps", "1", "--wait")
    status, output, errors = ask(*submit, "--server-ca", crt, "--output", "far.png")
    assert (status, output) == (0, "far.png"), errors
    assert open(f"{folder}/far.png", "rb").read().startswith(b"\x89PNG")
    status, _, errors = ask(*submit)
    assert status == 69 and "certificate" in errors and errors.count("\n") == 1, (status, errors)
    status, _, errors = ask(*submit, server=f"http://10.0.0.1:{service.port}")
    assert status == 64 and "https" in errors, (status, errors)
    service.stop()


def flow_proxy(folder):
    """A stated proxy may connect without encryption, and nobody else; its word about clients counts."""
    new = [PROGRAM, "tokens", "new", "--user", "ann", "--data", f"{folder}/data"]
    token = subprocess.run(new, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    service = Service(folder, "--reverse-proxy", "127.0.0.2", "--max-requests-per-second", "5",
                      listen="0.0.0.0:0")
    service.headers = bearer(token) | {"Host": "studio.example"}
    service.refused(403, "proxy", "GET", "/api/v1/jobs")
    service.refused(403, "proxy", "GET", "/healthz")
    service.source = "127.0.0.2"
    body = {"prompt": "a", "size": "64x64", "response_format": "url", "quality": "low"}
    answer = service.ok("POST", "/v1/images/generations", body)
    assert answer["data"][0]["url"].startswith("https://studio.example/"), answer

    # Clients without a token are told apart by the address that the proxy reports.
    def status(client):
        return service.call("GET", "/healthz", headers={"X-Forwarded-For": f"9.9.9.9, {client}"})
    statuses = [status("10.0.0.1")[0] for _ in range(40)]
    assert statuses[0] == 200 and statuses[-1] == 429, statuses
    found, answer, content = status("10.0.0.1")
    assert found == 429 and content["error"]["limit"] == "requests-per-second"
    assert answer.getheader("Retry-After") == "5"
    assert status("10.0.0.2")[0] == 200
    service.stop()


def flow_origins(folder):
    """Scripts of listed origins may use it, also where the answer is a refusal; no others."""
    origin = "https://studio.example"
    service = Service(folder, "--allow-origin", origin)
    ask = {"Access-Control-Request-Method": "POST"}
    found, answer, _ = service.call("OPTIONS", "/api/v1/jobs", headers={"Origin": origin} | ask)
    assert found == 204 and answer.getheader("Access-Control-Allow-Origin") == origin
    assert "Authorization" in answer.getheader("Access-Control-Allow-Headers")
    assert "POST" in answer.getheader("Access-Control-Allow-Methods")
    for path, expected in [("/api/v1/jobs", 200), ("/api/v1/jobs/none", 404)]:
        found, answer, _ = service.call("GET", path, headers={"Origin": origin})
        assert found == expected and answer.getheader("Vary") == "Origin"
        assert answer.getheader("Access-Control-Allow-Origin") == origin
    for other in ["https://evil.example", "null", "https://studio.example.evil.example"]:
        for method, more in [("GET", {}), ("OPTIONS", ask)]:
            answer = service.refused(403, "pages", method, "/api/v1/jobs",
                                     headers={"Origin": other} | more)
            assert answer.getheader("Access-Control-Allow-Origin") is None
    service.submit(headers={"Origin": origin}, settings=SMALL)
    service.stop()


def flow_quotas(folder):
    """Limits of a user and of a token; every refusal says which, its value, and what was asked."""
    service = Service(folder, "--max-queued-pixels-per-user", "100000",
                      "--max-stored-bytes-per-user", "1", "--max-body", "5000",
                      "--max-input-bytes", "3000")
    long = {"size": "256x256", "steps": 400, "seed": 1}

    def refused(status, limit, maximum, asked, **fields):
        found, _, answer = service.call("POST", "/api/v1/jobs", {"prompt": "a", **fields})
        error = answer["error"]
        assert (found, error["limit"], error["maximum"], error["asked"]) == (
            status, limit, maximum, asked), (found, answer)
        assert str(maximum) in error["message"] and str(asked) in error["message"], error

    first = service.submit(settings=long)["id"]
    refused(429, "queued-pixels-per-user", 100000, 2 * 65536, settings=long)
    # A picture that is too large by itself will always be too large.
    refused(422, "queued-pixels-per-user", 100000, 65536 + 512 * 512,
            settings=long | {"size": "512x512"})
    other = service.submit(settings=long, headers={"Tessera-User": "ben"})["id"]
    for job in (first, other):
        service.ok("POST", f"/api/v1/jobs/{job}/cancel")
    job = service.submit(settings=SMALL)["id"]
    size = service.wait(job, "done")["pictureBytes"]
    refused(429, "stored-bytes-per-user", 1, size, settings=SMALL)
    service.ok("DELETE", f"/api/v1/jobs/{job}", status=204)
    job = service.submit(settings=SMALL)["id"]
    service.refused(413, "5000", "POST", "/api/v1/jobs", {"prompt": "a" * 6000})
    service.refused(429, "input-bytes", "POST", "/api/v1/pictures", b"x" * 4000,
                    {"Content-Type": "image/png"})

    token = service.tokens("new", "--user", "ann", "--max-pixels", "10000", "--max-steps", "3",
                           "--max-stored-bytes", "1000000")
    assert "pixels 10000, steps 3" in service.tokens("list")
    service.headers = bearer(token)
    limits = service.ok("GET", "/api/v1/limits")
    assert limits["pixels"] == 10000 and limits["stored-bytes-per-user"] == 1000000
    assert limits["queued-pixels-per-user"] == 100000
    refused(422, "pixels", 10000, 128 * 192, settings=SMALL)
    refused(422, "steps", 3, 4, settings=SMALL | {"size": "64x64"})
    service.submit(settings={"size": "64x64", "steps": 2})
    service.stop()


if __name__ == "__main__":
    run(globals())
