import Foundation
import TestSupport
import Testing

/// The SSH path against a real sshd that the test starts, with its own port, host key, configuration and one user's
/// key.
@Suite(.serialized) struct SSHTests {
    /// Missing programs, without which these tests cannot run.
    static let missing = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"]
        .filter { !FileManager.default.isExecutableFile(atPath: $0) }

    /// A server on a port of the loopback interface, and a configuration that reaches it as alpha and beta; nothing
    /// listens at gamma.
    final class Server {
        let process: Spawned
        let folder: String
        let log: String

        init(_ folder: String) throws {
            self.folder = folder
            log = "\(folder)/sshd.log"
            let (port, nobody) = (try freePort(), try freePort())
            for name in ["host", "user"] {
                try Self.run(
                    "/usr/bin/ssh-keygen",
                    ["-q", "-t", "ed25519", "-N", "", "-f", "\(folder)/\(name)"]
                )
            }
            func text(_ name: String) throws -> String {
                try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
            }
            func write(_ text: String, _ name: String) throws {
                try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            try write(try text("user.pub"), "authorized")
            try write("[127.0.0.1]:\(port) \(try text("host.pub"))", "known")
            try write(
                """
                Port \(port)
                ListenAddress 127.0.0.1
                HostKey \(folder)/host
                AuthorizedKeysFile \(folder)/authorized
                PidFile none
                StrictModes no
                UsePAM no
                PermitRootLogin prohibit-password
                PasswordAuthentication no
                KbdInteractiveAuthentication no

                """,
                "sshd_config"
            )
            try write(
                """
                Host alpha beta
                    Port \(port)
                Host gamma
                    Port \(nobody)
                Host *
                    HostName 127.0.0.1
                    IdentityFile \(folder)/user
                    IdentitiesOnly yes
                    UserKnownHostsFile \(folder)/known
                    StrictHostKeyChecking yes

                """,
                "ssh_config"
            )
            // An sshd that runs as root requires this folder.
            if getuid() == 0 { mkdir("/run/sshd", 0o755) }
            let process = try Spawned(
                ["/usr/sbin/sshd", "-D", "-f", "\(folder)/sshd_config", "-E", log]
            )
            self.process = process
            let isUp = eventually {
                (try? String(contentsOfFile: log, encoding: .utf8))?.contains("listening") == true
                    || !process.isRunning
            }
            guard isUp, process.isRunning else { throw Failure(text: messages) }
        }

        deinit { process.end() }

        struct Failure: Error { let text: String }

        var messages: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

        static func run(_ program: String, _ arguments: [String]) throws {
            guard try Spawned([program] + arguments).wait() else { throw Failure(text: program) }
        }
    }

    /// A site whose hosts are reached by ssh, and whose program has a path that shells could misread.
    private func inSite(_ body: (ClusterSite, Server) throws -> Void) throws {
        try inTemporaryFolder { folder in
            let server = try Server(folder)
            let site = try ClusterSite(folder)
            try FileManager.default.createDirectory(
                atPath: "\(folder)/it's \"a\" $HOME",
                withIntermediateDirectories: true
            )
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/it's \"a\" $HOME/tessera",
                withDestinationPath: site.program
            )
            try body(site, server)
        }
    }

    private func hosts(_ site: ClusterSite, _ names: [String]) -> String {
        names.map { name in
            """
              - name: \(name)
                threads: 1
                tessera: '\(site.folder)/it''s "a" $HOME/tessera'
            """
        }.joined(separator: "\n")
    }

    private static let launch =
        "ssh -F {folder}/ssh_config -o BatchMode=yes -o ConnectTimeout=10 {host} {command}"

    @Test(
        .enabled(
            if: missing.isEmpty,
            "openssh-server is not installed (make test installs it where CI is set)"
        )
    )
    func rendersOverSSH() throws {
        try inSite { site, server in
            let whole = try site.local()
            try site.write(launch: Self.launch, hosts: hosts(site, ["alpha", "beta"]))
            let command = try site.render(["--min-workers", "2"])
            #expect(command.status == 0, "\(command.errors)\n\(server.messages)")
            #expect(command.errors.contains("alpha-1:") && command.errors.contains("beta-1:"))
            #expect(try site.bytes() == whole)
            #expect(eventually { site.processes.isEmpty }, "\(site.processes)")

            // One host cannot be reached: it is named, and the others continue.
            try site.write(launch: Self.launch, hosts: hosts(site, ["alpha", "gamma"]))
            let one = try site.render()
            #expect(one.status == 0, "\(one.errors)")
            #expect(one.errors.contains("host gamma: ssh: connect to host 127.0.0.1"))
            #expect(one.errors.contains("status 255") && one.errors.contains("ssh_config"))
            #expect(try site.bytes() == whole)
            let both = try site.render(["--min-workers", "2"])
            #expect(both.status == 69 && both.complaints.count == 1, "\(both.errors)")
            #expect(both.complaints.first?.contains("gamma") == true)
            #expect(eventually { site.processes.isEmpty }, "\(site.processes)")

            // Killing a render ends its remote workers, too.
            try site.write(launch: Self.launch, hosts: hosts(site, ["alpha", "beta"]))
            let killed = try site.start(
                site.picture + ["--cluster", site.file, "--steps", "400", "--min-workers", "2"]
            )
            #expect(killed.waitFor("phase 2"), "\(killed.errorsSoFar)")
            #expect(!site.processes.isEmpty)
            kill(killed.process.processIdentifier, SIGKILL)
            _ = killed.finish()
            #expect(eventually { site.processes.isEmpty }, "\(site.processes)")
        }
    }

    @Test(
        .enabled(
            if: missing.isEmpty,
            "openssh-server is not installed (make test installs it where CI is set)"
        )
    )
    func workersStayOverSSH() throws {
        try inSite { site, server in
            let whole = try site.local()
            try site.write(launch: Self.launch, hosts: hosts(site, ["alpha", "beta"]))
            let up = try site.cluster("up")
            #expect(up.status == 0, "\(up.errors)\n\(server.messages)")
            let workers = Set(site.processes)
            #expect(workers.count == 2)
            let render = try site.render(["--min-workers", "2"])
            #expect(render.status == 0, "\(render.errors)")
            #expect(try site.bytes() == whole)
            #expect(Set(site.processes) == workers)
            #expect(try site.cluster("status").output.contains("beta   up"))
            let down = try site.cluster("down")
            #expect(down.status == 0 && down.output.contains("alpha: 1 ended"), "\(down.output)")
            #expect(site.processes.isEmpty && site.clusters.isEmpty)
        }
    }
}
