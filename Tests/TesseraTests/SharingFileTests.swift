import Foundation
import TestSupport
import Testing

/// What a cluster file says about the network: who sends the model, and whether the coordinator announces itself.
@Suite struct SharingFileTests {
    private func site(_ folder: String, _ text: String) throws -> ClusterSite {
        let site = try ClusterSite(folder)
        try text.replacing("PORT", with: "\(site.port)").replacing("MODEL", with: site.model)
            .write(toFile: site.file, atomically: true, encoding: .utf8)
        return site
    }

    private func listens(at port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// One of a host's workers listens for neighbours; keys are made for this.
    @Test func aHostsWorkersShareTheModelAtThePortOfTheFile() throws {
        try inTemporaryFolder { folder in
            let port = try freePort()
            let site = try site(
                folder,
                """
                coordinator: {endpoint: "tcp://127.0.0.1:PORT"}
                model: MODEL
                hosts: [{name: localhost, workers: 2, threads: 1, share: \(port)}]
                """
            )
            #expect(!listens(at: port))
            let up = try site.cluster("up")
            #expect(up.status == 0 && up.output.contains("2/2"), "\(up.output)\(up.errors)")
            #expect(listens(at: port))
            // Its workers join a render as usual.
            let command = try site.render(["--min-workers", "2"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(try site.cluster("down").status == 0)
            #expect(!listens(at: port))
        }
    }

    /// A script that records what it is asked to publish stands in for avahi.
    @Test func clusterUpAnnouncesItselfWhileItRuns() throws {
        try inTemporaryFolder { folder in
            let site = try site(
                folder,
                """
                coordinator: {endpoint: "tcp://*:PORT", connect: "tcp://127.0.0.1:PORT", announce: true}
                model: MODEL
                hosts: [{name: localhost, threads: 1}]
                """
            )
            let program = """
                #!/bin/sh
                echo "$$ $*" > \(folder)/published
                echo "Established under name 'Tessera on here'"
                exec sleep 300
                """
            try FileManager.default.createDirectory(
                atPath: "\(folder)/bin",
                withIntermediateDirectories: true
            )
            let path = "\(folder)/bin/avahi-publish"
            try program.write(toFile: path, atomically: true, encoding: .utf8)
            chmod(path, 0o755)
            let paths = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let up = try Command(
                ["cluster", "up", "--cluster", site.file],
                environment: [
                    "XDG_STATE_HOME": "\(folder)/state", "PATH": "\(folder)/bin:\(paths)",
                ]
            )
            #expect(up.status == 0, "\(up.errors)")
            let words = try String(contentsOfFile: "\(folder)/published", encoding: .utf8)
                .split(whereSeparator: \.isWhitespace)
            #expect(words.contains("_tessera._tcp") && words.contains("\(site.port)"), "\(words)")
            #expect(words.contains { $0.hasPrefix("key=") }, "\(words)")
            // The announcement has ended, since nobody listens there any more.
            let process = try #require(words.first.flatMap { Int32($0) })
            #expect(eventually { kill(process, 0) != 0 })
            #expect(try site.cluster("down").status == 0)
        }
    }
}
