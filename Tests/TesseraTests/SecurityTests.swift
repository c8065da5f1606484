import Foundation
import TestSupport
import Testing

/// A coordinator and workers with keys, and what others try on them.
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

    @Test func withKeysThePictureIsTheSame() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let site = try KeyedSite(folder, picture + KeyedSite.makeKeys(folder))
            let workers = try ["one", "two"].map { try site.worker(model, key: $0) }
            let processes = [site.coordinator.process] + workers.map(\.process)
            #expect(workers.allSatisfy { $0.waitFor("joined") })
            // No secret is visible to others.
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
            for command in KeyedSite.end(workers) { seen += command.errors + command.output }
            #expect(!seen.isEmpty && secrets.allSatisfy { !seen.contains($0) })
        }
    }

    @Test func othersAreTurnedAwayAndTold() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let site = try KeyedSite(folder, picture + KeyedSite.makeKeys(folder))
            let stranger = try site.worker(model, key: "stranger")
            #expect(stranger.waitFor("does not allow this worker's key"))
            let keyless = try site.worker(model, key: nil)
            #expect(keyless.waitFor("requires a key"))
            // A worker's key in place of the coordinator's.
            let misled = try site.worker(model, key: "one", coordinator: "two")
            #expect(misled.waitFor("does not use the coordinator's key"))
            let right = try site.worker(model, key: "two")
            let open = try String(contentsOfFile: "\(folder)/stranger.pub", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(site.coordinator.waitFor(open))
            #expect(try site.result() == whole)
            for command in KeyedSite.end([stranger, keyless, misled, right]) {
                // Reported once, not once per attempt.
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
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, picture + (encrypted ? keys : []))
            let noise = Noise(port: site.port)
            noise.knock(times: 300)
            noise.shout(megabytes: 10, beginning: [])
            // Bytes that look like the start of a handshake, of a frame of 2⁶³ bytes, or of HTTP.
            let greeting: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0]
            noise.shout(megabytes: 1, beginning: greeting)
            noise.shout(megabytes: 1, beginning: greeting + [UInt8](repeating: 0, count: 52))
            noise.shout(megabytes: 1, beginning: [2, 0x7F] + [UInt8](repeating: 0xFF, count: 7))
            noise.shout(megabytes: 1, beginning: Array("GET / HTTP/1.1\r\n\r\n".utf8))
            let right = try site.worker(model, key: encrypted ? "one" : nil)
            #expect(right.waitFor("joined"))
            noise.knock(times: 100)
            noise.shout(megabytes: 10, beginning: [])
            let status = "/proc/\(site.coordinator.process.processIdentifier)/status"
            let text = try String(contentsOfFile: status, encoding: .utf8)
            let peak = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let kilobytes = peak?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first
            #expect(try site.result() == whole)
            #expect(try #require(kilobytes.flatMap { Int($0) }) < 400_000)
            _ = KeyedSite.end([right])
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

/// Bytes from a peer that does not speak the protocol.
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

    /// Connects and closes, as a port scanner does.
    func knock(times: Int) {
        for _ in 0..<times {
            if let descriptor = connected() { close(descriptor) }
        }
    }

    /// Sends random bytes until all are sent or the other side closes the connection.
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
