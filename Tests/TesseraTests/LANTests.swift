import Foundation
import TestSupport
import Testing

/// Machines that look for their coordinator on the network. A script that prints the same lines stands in for avahi.
@Suite(.serialized) struct LANTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    /// A coordinator on this machine, and the files of a machine that joins it.
    private final class Site {
        let folder: String
        let port: UInt16
        private(set) var service: Command.Running?

        init(_ folder: String, _ name: String, model: String) throws {
            self.folder = "\(folder)/\(name)"
            port = try freePort()
            try FileManager.default.createDirectory(
                atPath: self.folder,
                withIntermediateDirectories: true
            )
            let text = """
                coordinator: {endpoint: "tcp://127.0.0.1:\(port)"}
                model: \(model)
                hosts: [{name: localhost, threads: 1}]
                """
            try text.write(toFile: file, atomically: true, encoding: .utf8)
        }

        var file: String { "\(folder)/cluster.yaml" }

        func start(_ arguments: [String], path: String? = nil) throws -> Command.Running {
            var environment = [
                "XDG_STATE_HOME": "\(folder)/state", "XDG_CONFIG_HOME": "\(folder)/config",
            ]
            if let path { environment["PATH"] = path }
            return try Command.Running(arguments, environment: environment)
        }

        func serve() throws {
            let places = ["--listen", "127.0.0.1:0", "--data", "\(folder)/data"]
            let running = try start(["serve", "--cluster", file] + places)
            #expect(running.waitFor("serving"), "\(running.errorsSoFar)")
            service = running
        }

        /// The part of an invitation after #.
        func invite() throws -> String {
            let output = try start(["cluster", "invite", "--cluster", file]).finish().output
            return output.split(whereSeparator: { $0.isWhitespace || $0 == "#" }).last
                .map(String.init) ?? ""
        }

        /// Name of the folder in which a machine that has joined keeps its key.
        var fingerprint: String {
            let joined = "\(folder)/config/tessera/joined"
            return (try? FileManager.default.contentsOfDirectory(atPath: joined))?.first ?? ""
        }

        func end() {
            guard let service else { return }
            kill(service.process.processIdentifier, SIGINT)
            _ = service.finish()
        }
    }

    /// Writes a script that prints what avahi-browse would print for these coordinators.
    ///
    /// - Returns: PATH that begins with the script's folder
    private func announce(_ folder: String, _ places: [(name: String, port: UInt16, key: String)])
        throws -> String
    {
        let lines = places.map { place in
            #"=;w0;IPv4;\#(place.name);_tessera._tcp;local;desk.local;127.0.0.1;\#(place.port);"#
                + #""key=\#(place.key)" "model=vista" "protocol=8" "version=0.1.0""#
        }
        let text = """
            #!/bin/sh
            [ "$*" = "-p -r -t -k _tessera._tcp" ] || exit 1
            cat <<'END'
            \(lines.joined(separator: "\n"))
            END
            """
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let program = "\(folder)/avahi-browse"
        try text.write(toFile: program, atomically: true, encoding: .utf8)
        chmod(program, 0o755)
        return "\(folder):\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"
    }

    @Test func theCoordinatorOfTheInvitationIsFoundAndLiarsAreNot() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder, "site", model: model)
            let liar = try Site(folder, "liar", model: model)
            defer {
                site.end()
                liar.end()
            }
            let code = try site.invite()
            _ = try liar.invite()
            try site.serve()
            try liar.serve()
            let flags = ["join", "--lan", "--model", model, "--threads", "1"]
            // The fingerprint to announce is not known yet: joining with the code makes a folder of that name.
            let path = try announce("\(folder)/bin", [])
            let first = try site.start(flags + [code], path: path)
            #expect(first.waitFor("announces itself on this network segment (others: 0)"))
            let key = site.fingerprint
            #expect(key.count == 19)
            // A coordinator with another key and one with another fingerprint come first.
            let places = [
                ("b", liar.port, key), ("c", liar.port, "0000-0000-0000-0000"),
                ("d", site.port, key),
            ]
            _ = try announce("\(folder)/bin", places)
            #expect(first.waitFor("joined as"), "\(first.errorsSoFar)")
            #expect(
                first.errorsSoFar.contains(
                    ":\(liar.port): it does not have the key of this invitation"
                ),
                "\(first.errorsSoFar)"
            )
            #expect(first.waitFor("joined endpoint=tcp://127.0.0.1:\(site.port)"))
            _ = KeyedSite.end([first])
            let found = try site.start(["cluster", "find"], path: path).finish()
            #expect(found.status == 0 && found.output.contains("tcp://127.0.0.1:\(site.port)"))
            #expect(found.output.split(separator: "\n").count == 4, "\(found.output)")

            // It finds its cluster again without the invitation; if nothing is announced, it tries the last known
            // address.
            for places in [places, []] {
                _ = try announce("\(folder)/bin", places)
                let again = try site.start(flags, path: path)
                #expect(again.waitFor("joined endpoint"), "\(again.errorsSoFar)")
                #expect(again.errorsSoFar.contains("where it was") == places.isEmpty)
                _ = KeyedSite.end([again])
            }
            // A used code is refused by the right coordinator, in one line.
            _ = try announce("\(folder)/bin", places)
            let other = try liar.start(flags + [code], path: path).finish()
            #expect(other.status == 64 && other.errors.contains("has been used"), "\(other.errors)")
        }
    }

    @Test func withoutAvahiOneLineSaysWhatToDo() throws {
        try inTemporaryFolder { folder in
            let nothing = try announce("\(folder)/bin", [])
            let none = try Command(["cluster", "find"], environment: ["PATH": nothing])
            #expect(none.status == 69 && none.complaints.count == 1)
            #expect(none.errors.contains("announce: true"), "\(none.errors)")
            for arguments in [["cluster", "find"], ["cluster", "find", "--json"]] {
                let command = try Command(arguments, environment: ["PATH": "/nowhere"])
                #expect(command.status == 69 && command.complaints.count == 1)
                #expect(command.errors.contains("avahi-utils"), "\(command.errors)")
            }
            let broken =
                "#!/bin/sh\necho 'Failed to create client object: Daemon not running'\nexit 1\n"
            try broken.write(
                toFile: "\(folder)/bin/avahi-browse",
                atomically: true,
                encoding: .utf8
            )
            chmod("\(folder)/bin/avahi-browse", 0o755)
            let command = try Command(["cluster", "find"], environment: ["PATH": nothing])
            #expect(command.status == 69 && command.errors.contains("Daemon not running"))
        }
    }
}
