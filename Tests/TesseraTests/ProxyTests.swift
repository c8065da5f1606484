import Foundation
import TestSupport
import Testing

/// Workers that reach their coordinator only through a SOCKS proxy or an SSH tunnel.
@Suite(.serialized) struct ProxyTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""
    private let picture = [
        "--prompt", "a prompt", "--size", "200x136", "--steps", "6", "--seed", "5", "--model",
        Fixtures.networks.first?.checkpoint ?? "",
    ]

    private func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }

    /// Waits until something listens on a port of the loopback interface.
    private func listens(_ port: UInt16) -> Bool {
        eventually {
            text("/proc/net/tcp").contains(String(format: ":%04X 00000000:0000 0A", Int(port)))
        }
    }

    @Test func aWorkerRendersThroughASOCKSProxy() throws {
        try inTemporaryFolder { folder in
            let site = try KeyedSite(folder, picture + KeyedSite.makeKeys(folder))
            let (port, log) = (try freePort(), "\(folder)/socks.log")
            let proxy = ["--socks-proxy", "127.0.0.1:\(port)"]
            // Without the proxy it does not reach the coordinator, although a direct connection would work.
            let worker = try site.worker(model, key: "one", proxy)
            #expect(worker.waitFor("calling"))
            #expect(worker.waitFor("the SOCKS proxy 127.0.0.1:\(port): Connection refused"))
            #expect(!worker.errorsSoFar.contains("joined"))
            let server = try Spawned([
                "python3", "\(Fixtures.packageRoot)/Tests/socks.py", "\(port)", log,
            ])
            defer { server.end() }
            #expect(worker.waitFor("joined"), "\(worker.errorsSoFar)")
            _ = try site.result()
            #expect(text(log).contains("connect 127.0.0.1:\(site.port)"), "\(text(log))")
            _ = KeyedSite.end([worker])
        }
    }

    @Test func whatCannotGoThroughAProxyIsRefused() throws {
        for (arguments, reason) in [
            (["--connect", "tcp://127.0.0.1:7551", "--socks-proxy", "127.0.0.1:1080"], "CURVE"),
            (["--connect", "ipc:///tmp/x", "--socks-proxy", "127.0.0.1:1080"], "TCP only"),
            (["--connect", "tcp://127.0.0.1:7551", "--socks-proxy", "nonsense"], "HOST:PORT"),
        ] {
            let command = try Command(["worker", "--model", model] + arguments)
            #expect(command.status == 64 && command.complaints.count == 1)
            #expect(command.errors.contains(reason), "\(command.errors)")
        }
    }

    /// Number of connections that the proxy was asked for.
    private func connections(_ log: String) -> Int {
        text(log).components(separatedBy: "connect 127.0.0.1:").count - 1
    }

    @Test func whoJoinedThroughAProxyUsesItAgain() throws {
        try inTemporaryFolder { folder in
            let (port, own, log) = (try freePort(), try freePort(), "\(folder)/socks.log")
            let file = "\(folder)/cluster.yaml"
            let content = """
                coordinator: {endpoint: "tcp://127.0.0.1:\(own)"}
                model: \(model)
                hosts: [{name: localhost, threads: 1}]
                """
            try content.write(toFile: file, atomically: true, encoding: .utf8)
            let environment = [
                "XDG_STATE_HOME": "\(folder)/state", "XDG_CONFIG_HOME": "\(folder)/config",
            ]
            func start(_ arguments: [String]) throws -> Command.Running {
                try Command.Running(arguments, environment: environment)
            }
            let service = try start(
                ["serve", "--cluster", file, "--listen", "127.0.0.1:0", "--data", "\(folder)/data"]
            )
            #expect(service.waitFor("serving"))
            let code = try start(["cluster", "invite", "--cluster", file]).finish().output
            let words = code.split(whereSeparator: \.isWhitespace).suffix(1).map(String.init)
            let flags = ["--model", model, "--threads", "1"]
            let way = ["--socks-proxy", "127.0.0.1:\(port)"]
            let first = try start(["join"] + words + flags + way)
            let reason = "(the SOCKS proxy 127.0.0.1:\(port): Connection refused): trying until"
            #expect(first.waitFor(reason), "\(first.errorsSoFar)")
            let server = try Spawned([
                "python3", "\(Fixtures.packageRoot)/Tests/socks.py", "\(port)", log,
            ])
            defer { server.end() }
            #expect(first.waitFor("joined endpoint"), "\(first.errorsSoFar)")
            _ = KeyedSite.end([first])
            let before = connections(log)
            #expect(before > 1, "\(text(log))")
            // It is not told again how to reach the coordinator.
            let second = try start(["join"] + flags)
            #expect(second.waitFor("joined endpoint"), "\(second.errorsSoFar)")
            _ = KeyedSite.end([second])
            let after = connections(log)
            #expect(after > before, "\(text(log))")
            let direct = try start(["join", "--socks-proxy", "none"] + flags)
            #expect(direct.waitFor("joined endpoint"), "\(direct.errorsSoFar)")
            _ = KeyedSite.end([direct])
            #expect(connections(log) == after, "\(text(log))")
            kill(service.process.processIdentifier, SIGINT)
            _ = service.finish()
        }
    }

    /// ssh runs on the worker's side for `-L` and `-D`, and on the coordinator's for `-R`.
    @Test(
        .enabled(if: SSHTests.missing.isEmpty, "openssh-server is not installed"),
        arguments: ["-L", "-R", "-D"]
    )
    func aWorkerRendersThroughATunnel(kind: String) throws {
        try inTemporaryFolder { folder in
            let server = try SSHTests.Server(folder)
            let site = try KeyedSite(folder, picture + KeyedSite.makeKeys(folder))
            let port = try freePort()
            let way = kind == "-D" ? "\(port)" : "\(port):127.0.0.1:\(site.port)"
            let tunnel = try Spawned([
                "ssh", "-F", "\(folder)/ssh_config", "-N", kind, way, "alpha",
            ])
            defer { tunnel.end() }
            #expect(listens(port), "\(server.messages)")
            let worker =
                kind == "-D"
                ? try site.worker(model, key: "one", ["--socks-proxy", "127.0.0.1:\(port)"])
                : try site.worker(model, key: "one", at: "tcp://127.0.0.1:\(port)")
            #expect(worker.waitFor("joined"), "\(worker.errorsSoFar)")
            _ = try site.result()
            _ = KeyedSite.end([worker])
        }
    }
}
