import Foundation
import TestSupport
import Testing

/// A coordinator and workers with keys, and what others do to them.
@Suite(.serialized) struct SecurityTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private var picture: [String] {
        [
            "--model", model, "--prompt", "a prompt", "--size", "200x136", "--steps", "12",
            "--seed", "5",
        ]
    }

    private func quiet() throws -> Data {
        try inTemporaryFolder { folder in
            let command = try Command(["render", "--output", "\(folder)/out.png"] + picture)
            #expect(command.status == 0, "\(command.errors)")
            return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
        }
    }

    /// A coordinator that waits for workers, with its endpoint.
    private final class Site {
        let folder: String
        let coordinator: Command.Running
        let endpoint: String

        init(_ folder: String, _ flags: [String]) throws {
            self.folder = folder
            coordinator = try Command.Running(
                [
                    "coordinator", "--bind", "tcp://127.0.0.1:0", "--output",
                    "\(folder)/out.png",
                ] + flags
            )
            try #require(coordinator.waitFor("waiting for workers at tcp://127.0.0.1:"))
            let line = coordinator.errorsSoFar.split(separator: "\n")
                .first { $0.hasPrefix("waiting for workers at ") }
            endpoint = String(try #require(line?.split(separator: " ").last))
        }

        var port: UInt16 { UInt16(endpoint.split(separator: ":").last ?? "") ?? 0 }

        func result() throws -> Data {
            let command = coordinator.finish()
            #expect(command.status == 0, "\(command.errors)")
            return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
        }
    }

    /// Keys of a coordinator and of workers, all of them allowed but the one called stranger.
    private func makeKeys(_ folder: String) throws -> [String] {
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

    private func worker(_ site: Site, key: String?, coordinator: String = "coordinator")
        -> [String]
    {
        let security =
            key.map {
                [
                    "--keys", "\(site.folder)/\($0)", "--coordinator-key",
                    "\(site.folder)/\(coordinator).pub",
                ]
            } ?? []
        return ["worker", "--connect", site.endpoint, "--model", model, "--threads", "1"]
            + security
    }

    private func end(_ workers: [Command.Running]) -> [Command] {
        for worker in workers { kill(worker.process.processIdentifier, SIGTERM) }
        return workers.map { $0.finish() }
    }

    @Test func withKeysThePictureIsTheSame() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let site = try Site(folder, picture + makeKeys(folder))
            let workers = try ["one", "two"].map { try Command.Running(worker(site, key: $0)) }
            let processes = [site.coordinator.process] + workers.map(\.process)
            #expect(workers.allSatisfy { $0.waitFor("joined") })
            // No secret is where others can see it.
            let secrets = try ["coordinator", "one", "two"].map { name in
                let text = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
                return try #require(text.split(separator: "\n").last)
            }
            var seen = ""
            for process in processes {
                for what in ["cmdline", "environ"] {
                    let path = "/proc/\(process.processIdentifier)/\(what)"
                    let data = FileManager.default.contents(atPath: path) ?? Data()
                    seen += String(decoding: data, as: UTF8.self)
                }
            }
            #expect(try site.result() == whole)
            seen += site.coordinator.errorsSoFar
            for command in end(workers) { seen += command.errors + command.output }
            #expect(!seen.isEmpty && secrets.allSatisfy { !seen.contains($0) })
        }
    }

    @Test func othersAreTurnedAwayAndTold() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let site = try Site(folder, picture + makeKeys(folder))
            let stranger = try Command.Running(worker(site, key: "stranger"))
            #expect(stranger.waitFor("does not allow this worker's key"))
            let keyless = try Command.Running(worker(site, key: nil))
            #expect(keyless.waitFor("wants a key"))
            // A worker's key in the place of the coordinator's.
            let misled = try Command.Running(worker(site, key: "one", coordinator: "two"))
            #expect(misled.waitFor("does not encrypt with the coordinator's key"))
            let right = try Command.Running(worker(site, key: "two"))
            let open = try String(contentsOfFile: "\(folder)/stranger.pub", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(site.coordinator.waitFor(open))
            #expect(try site.result() == whole)
            for command in end([stranger, keyless, misled, right]) {
                // Told once, not once an attempt.
                let told = command.errors.split(separator: "\n").filter { $0.contains("listens") }
                #expect(Set(told).count == told.count, "\(command.errors)")
                #expect(command.status == 0)
            }
        }
    }

    @Test(arguments: [true, false])
    func noiseOnThePortChangesNothing(encrypted: Bool) throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let keys = try makeKeys(folder)
            let site = try Site(folder, picture + (encrypted ? keys : []))
            let noise = Noise(port: site.port)
            noise.knock(times: 300)
            noise.shout(megabytes: 10, beginning: [])
            // What looks like the beginning of a conversation, of a frame of 2⁶³ bytes, or of HTTP.
            let greeting: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0]
            noise.shout(megabytes: 1, beginning: greeting)
            noise.shout(megabytes: 1, beginning: greeting + [UInt8](repeating: 0, count: 52))
            noise.shout(megabytes: 1, beginning: [2, 0x7F] + [UInt8](repeating: 0xFF, count: 7))
            noise.shout(megabytes: 1, beginning: Array("GET / HTTP/1.1\r\n\r\n".utf8))
            let right = try Command.Running(worker(site, key: encrypted ? "one" : nil))
            #expect(right.waitFor("joined"))
            noise.knock(times: 100)
            noise.shout(megabytes: 10, beginning: [])
            let status = "/proc/\(site.coordinator.process.processIdentifier)/status"
            let text = try String(contentsOfFile: status, encoding: .utf8)
            let peak = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let kilobytes = peak?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first
            #expect(try site.result() == whole)
            #expect(try #require(kilobytes.flatMap { Int($0) }) < 400_000)
            _ = end([right])
        }
    }

    @Test func theNetworkNeedsKeys() throws {
        try inTemporaryFolder { folder in
            let flags = picture + ["--output", "\(folder)/out.png"]
            for arguments in [
                ["coordinator", "--bind", "tcp://0.0.0.0:0"] + flags,
                ["worker", "--connect", "tcp://192.0.2.1:7551", "--model", model],
            ] {
                let command = try Command(arguments)
                #expect(command.status == 64, "\(command.errors)")
                #expect(command.complaints.count == 1, "\(command.errors)")
                #expect(command.complaints.first?.contains("tessera keys new") == true)
            }
            for arguments in [
                ["worker", "--connect", "tcp://127.0.0.1:1", "--keys", "\(folder)/none"],
                ["coordinator", "--keys", "\(folder)/none"] + flags,
            ] {
                #expect(try Command(arguments).status == 64)
            }
        }
    }
}

/// Bytes from somebody who speaks no protocol of ours.
private struct Noise {
    let port: UInt16

    private func connected() -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// Connects and hangs up, as a port scanner does.
    func knock(times: Int) {
        for _ in 0..<times {
            if let descriptor = connected() { close(descriptor) }
        }
    }

    /// Sends random bytes until all are sent or the other side hangs up.
    func shout(megabytes: Int, beginning: [UInt8]) {
        guard let descriptor = connected() else { return }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_SNDTIMEO,
            &patience,
            socklen_t(MemoryLayout<timeval>.size)
        )
        var mutator = Mutator(seed: UInt64(megabytes))
        send(descriptor, beginning, beginning.count, Int32(MSG_NOSIGNAL))
        for _ in 0..<megabytes * 16 {
            let bytes = (0..<8192).map { _ in mutator.next() }
            let sent = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent == 65536 else { return }
        }
    }
}
