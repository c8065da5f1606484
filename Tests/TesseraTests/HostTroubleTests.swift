import Foundation
import TestSupport
import Testing

/// Hosts of a cluster file that do not work, each on its own network: a render names each of them once, with the cause
/// and the remedy.
@Suite(.serialized, .enabled(if: TestNetwork.isPossible)) struct HostTroubleTests {
    /// Six hosts, the first of which works, and a render on them.
    private struct Site {
        let folder: String
        let network: TestNetwork
        let mark = "mark-\(UUID().uuidString)"
        let render: Command.Running

        init(_ folder: String) throws {
            self.folder = folder
            let network = try TestNetwork(hosts: 6)
            self.network = network
            _ = try KeyedSite.makeKeys(folder)
            chmod("\(folder)/two", 0o644)
            let troubles = [
                "", ", model: /nowhere/model", ", keys: \(folder)/two",
                ", coordinator-key: \(folder)/one.pub", "", "",
            ]
            let hosts = network.hosts.enumerated().map { number, name in
                var fields = [
                    "name: \(name)", "threads: 1", "connect: \"\(network.endpoint(from: number))\"",
                    "tessera: \(Fixtures.packageRoot)/.build/release/tessera",
                ]
                for (key, file) in [("keys", "one"), ("coordinator-key", "coordinator.pub")]
                where !troubles[number].contains(", \(key): ") {
                    fields.append("\(key): \(folder)/\(file)")
                }
                return "  - {\(fields.joined(separator: ", "))\(troubles[number])}"
            }
            try """
            coordinator: {endpoint: "tcp://*:7551", connect: "tcp://10.77.0.1:7551", keys: coordinator, allow: list}
            model: \(Fixtures.networks.first?.checkpoint ?? "")
            launch: ip netns exec {host} {arguments}
            environment: {TESSERA_TEST_MARK: "\(mark)"}
            timeouts: {start: 20, join: 60, stop: 10, silence: 2}
            hosts:
            \(hosts.joined(separator: "\n"))
            """.write(toFile: "\(folder)/cluster.yaml", atomically: true, encoding: .utf8)
            render = try Command.Running(
                [
                    "render", "--prompt", "a prompt", "--size", "264x200", "--steps", "1000",
                    "--output", "\(folder)/out.png", "--job-dir", "\(folder)/job", "--cluster",
                    "\(folder)/cluster.yaml", "--min-workers", "3",
                ],
                environment: ["XDG_STATE_HOME": "\(folder)/state"],
                on: network.centre
            )
        }

        /// The render's warnings about a host.
        func warnings(_ host: Int) -> [Substring] {
            render.errorsSoFar.split(separator: "\n").filter {
                $0.hasPrefix("warning: ") && $0.contains("\(network.hosts[host])")
            }
        }

        /// Process ID of a host's worker.
        func worker(_ host: Int) -> Int32? {
            let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return all.lazy.compactMap { Int32($0) }.first { id in
                func has(_ file: String, _ text: String) -> Bool {
                    let data = FileManager.default.contents(atPath: "/proc/\(id)/\(file)")
                    return data?.range(of: Data(text.utf8)) != nil
                }
                return has("environ", mark) && has("cmdline", "\(network.hosts[host])-1")
            }
        }
    }

    @Test func eachIsNamedOnceWithItsCauseAndRemedy() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            #expect(site.render.waitFor("phase 1/"), "\(site.render.errorsSoFar)")
            let stopped = try #require(site.worker(4))
            kill(stopped, SIGSTOP)
            defer { kill(stopped, SIGKILL) }
            try site.network.wire(5, isIn: false)
            let expected: [(host: Int, parts: [String])] = [
                (1, ["status 64", "/nowhere/model", "Name a folder"]),
                (2, ["status 64", "mode 644", "chmod 600"]),
                (3, ["has not joined", "does not use the coordinator's key", "--keys"]),
                (4, ["is stopped", "kill -CONT \(stopped)"]),
                (5, ["not been heard from for 2 s", "network"]),
            ]
            let allTold = eventually { expected.allSatisfy { !site.warnings($0.host).isEmpty } }
            #expect(allTold, "\(site.render.errorsSoFar)")
            try site.network.wire(5, isIn: true)
            #expect(eventually { site.warnings(5).contains { $0.contains("is back") } })
            // Long enough for a repeated warning to appear.
            usleep(2_500_000)
            for (host, parts) in expected {
                let lines = site.warnings(host).filter { !$0.contains("is back") }
                #expect(lines.count == 1, "\(lines)")
                for part in parts { #expect(lines.first?.contains(part) == true, "\(lines)") }
            }
            #expect(site.warnings(0) == [])
            #expect(!site.render.errorsSoFar.contains("a connection was rejected"))
            kill(site.render.process.processIdentifier, SIGINT)
            kill(stopped, SIGCONT)
            #expect(site.render.finish().status == 130)
        }
    }
}
