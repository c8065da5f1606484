import Foundation
import TestSupport
import Testing

/// A coordinator that waits for workers, and workers for it, on one host or several.
final class KeyedSite {
    let folder: String
    let coordinator: Command.Running
    /// Endpoint at which workers reach the coordinator.
    let endpoint: String

    /// - Parameters:
    ///   - folder: folder for the keys and the picture
    ///   - flags: flags of the coordinator
    ///   - host: network namespace to listen in, on port 7551 of all of its interfaces; nil for this machine's loopback
    ///     interface
    /// - Throws: if it does not start
    init(_ folder: String, _ flags: [String], on host: String? = nil) throws {
        self.folder = folder
        let bind = host == nil ? "tcp://127.0.0.1:0" : "tcp://*:7551"
        coordinator = try Command.Running(
            ["coordinator", "--bind", bind, "--output", "\(folder)/out.png"] + flags,
            on: host
        )
        try #require(coordinator.waitFor("waiting for workers at tcp://"))
        let line = coordinator.errorsSoFar.split(separator: "\n")
            .first { $0.hasPrefix("waiting for workers at ") }
        endpoint = String(try #require(line?.split(separator: " ").last))
    }

    var port: UInt16 { UInt16(endpoint.split(separator: ":").last ?? "") ?? 0 }

    /// The picture, once it is done.
    func result() throws -> Data { try Self.picture(coordinator, folder) }

    static func picture(_ coordinator: Command.Running, _ folder: String) throws -> Data {
        let command = coordinator.finish()
        #expect(command.status == 0, "\(command.errors)")
        return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
    }

    /// Makes keys for a coordinator and workers, all of them allowed except the one called stranger.
    ///
    /// - Returns: the coordinator's flags
    static func makeKeys(_ folder: String) throws -> [String] {
        for name in ["coordinator", "one", "two", "stranger"] {
            let command = try Command(["keys", "new", "\(folder)/\(name)"])
            #expect(command.status == 0, "\(command.errors)")
            let show = try Command(["keys", "show", "\(folder)/\(name)"])
            #expect(show.output == command.output && show.output.utf8.count == 41)
        }
        let list = try ["one", "two"].map { name in
            try String(contentsOfFile: "\(folder)/\(name).pub", encoding: .utf8)
        }
        try list.joined().write(toFile: "\(folder)/list", atomically: true, encoding: .utf8)
        return ["--keys", "\(folder)/coordinator", "--allow", "\(folder)/list"]
    }

    /// Starts a worker.
    ///
    /// - Parameters:
    ///   - model: model folder
    ///   - key: name of its key; nil for none
    ///   - coordinator: name of the key that it takes for the coordinator's
    ///   - host: network namespace to run in
    ///   - endpoint: endpoint to connect to, if not the one where the coordinator listens
    ///   - more: further arguments
    ///   - program: program to run instead of `tessera`
    /// - Returns: the worker, which may not have joined yet
    /// - Throws: if it does not start
    func worker(
        _ model: String,
        key: String?,
        coordinator: String = "coordinator",
        on host: String? = nil,
        at endpoint: String? = nil,
        _ more: [String] = [],
        program: String = "tessera"
    ) throws -> Command.Running {
        let security =
            key.map {
                ["--keys", "\(folder)/\($0)", "--coordinator-key", "\(folder)/\(coordinator).pub"]
            } ?? []
        return try Command.Running(
            ["worker", "--connect", endpoint ?? self.endpoint, "--model", model, "--threads", "1"]
                + security + more,
            on: host,
            program: program
        )
    }

    /// Stops workers as a service manager does.
    static func end(_ workers: [Command.Running]) -> [Command] {
        for worker in workers { kill(worker.process.processIdentifier, SIGTERM) }
        return workers.map { $0.finish() }
    }
}
