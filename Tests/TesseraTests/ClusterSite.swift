import Engine
import Foundation
import TestSupport
import Testing

/// A folder with a cluster file, and a marker that identifies its workers.
struct ClusterSite {
    let folder: String
    let port: UInt16
    /// Set in the environment of every worker of this site, and of no other process.
    let mark = "mark-\(UUID().uuidString)"
    var file: String { "\(folder)/cluster.yaml" }
    var program: String { "\(Fixtures.packageRoot)/.build/release/tessera" }
    let model = Fixtures.networks.first?.checkpoint ?? ""

    init(_ folder: String) throws {
        self.folder = folder
        port = try freePort()
    }

    /// Writes the cluster file.
    func write(launch: String, hosts: String, more: String = "") throws {
        let text = """
            coordinator: {endpoint: "tcp://127.0.0.1:\(port)"}
            model: \(model)
            launch: \(launch)
            environment: {TESSERA_TEST_MARK: "\(mark)", QUOTES: "a 'b' \\"c\\" $HOME"}
            timeouts: {start: 20, join: 60, stop: 10}
            \(more)
            hosts:
            \(hosts)
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
    }

    func start(_ arguments: [String]) throws -> Command.Running {
        try Command.Running(arguments, environment: ["XDG_STATE_HOME": "\(folder)/state"])
    }

    func run(_ arguments: [String]) throws -> Command { try start(arguments).finish() }

    func cluster(_ verb: String, _ more: [String] = []) throws -> Command {
        try run(["cluster", verb, "--cluster", file] + more)
    }

    var picture: [String] {
        [
            "render", "--prompt", "a prompt", "--size", "200x136", "--steps", "12", "--seed",
            "5", "--output", "\(folder)/out.png", "--job-dir", "\(folder)/job",
        ]
    }

    func render(_ more: [String] = []) throws -> Command {
        try run(picture + ["--cluster", file] + more)
    }

    func bytes() throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
    }

    /// Renders with this host's workers alone, and returns the picture's bytes.
    func local() throws -> Data {
        let command = try run(picture + ["--model", model, "--workers", "1"])
        #expect(command.status == 0, "\(command.errors)")
        return try bytes()
    }

    /// Process IDs of this site's workers.
    var processes: [Int32] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { Int32($0) }.filter { id in
            let data = FileManager.default.contents(atPath: "/proc/\(id)/environ") ?? Data()
            return data.range(of: Data(mark.utf8)) != nil
        }
    }

    var clusters: [String] {
        (try? FileManager.default.contentsOfDirectory(
            atPath: "\(folder)/state/tessera/clusters"
        )) ?? []
    }
}
