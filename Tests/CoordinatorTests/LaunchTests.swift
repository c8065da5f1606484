import Coordinator
import Engine
import Fleet
import Foundation
import Protocol
import TestSupport
import Testing

@Suite struct LaunchTests {
    /// A shell turns quoted words back into the original ones.
    @Test(arguments: [
        [
            "a b", "c'd", "e\"f", "", "$HOME", "`id`", "*", "a\\b", "\\", "!x", "ü", "#x", "a;b",
            "-n",
        ]
    ])
    func aShellReadsTheWordsAgain(words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "printf '%s|' " + ShellWords.join(words)]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(),
            as: UTF8.self
        )
        #expect(text == words.map { "\($0)|" }.joined())
        #expect(ShellWords.split(ShellWords.join(words)) == words)
    }

    @Test func aHomeStaysOpen() {
        #expect(ShellWords.join(["~/a b/c"]) == "~/'a b/c'")
        #expect(ShellWords.join(["~x"]) == "'~x'")
    }

    @Test func splitsLikeAShell() {
        #expect(
            ShellWords.split(#"a 'b c' "d \" \x" e\ f ''"#) == ["a", "b c", #"d " \x"#, "e f", ""]
        )
        #expect(ShellWords.split("  ") == [])
        #expect(ShellWords.split("'a") == nil)
        #expect(ShellWords.split("a\\") == nil)
    }

    @Test func fillsATemplate() throws {
        func filled(_ text: String) throws -> [String] {
            try LaunchTemplate(text).command(
                ["/a b/tessera", "agent"],
                host: "h",
                folder: "/f"
            )
        }
        #expect(try filled("ssh {host} {command}") == ["ssh", "h", "'/a b/tessera' agent"])
        #expect(
            try filled("x -F{folder}/c {{}} {arguments}") == [
                "x", "-F/f/c", "{}", "/a b/tessera", "agent",
            ]
        )
        #expect(try filled("sh -c 'exec {command}'") == ["sh", "-c", "exec '/a b/tessera' agent"])
        for wrong in [
            "", "ssh {host}", "ssh {command} {command}", "ssh {x} {command}", "ssh a{arguments}",
            "ssh } {command}", "ssh { {command}", "'' {command}",
        ] {
            #expect(throws: LaunchTemplate.Problem.self, "\(wrong)") { try LaunchTemplate(wrong) }
        }
    }

    private func plan(_ yaml: String) throws -> LaunchPlan {
        var common = LaunchPlan.Common(version: "1", model: "/here/model")
        common.program = "/here/tessera"
        common.loras = [LoRASource(path: "/l")]
        return LaunchPlan(
            try ClusterFile(yaml: yaml, place: "x"),
            path: "/etc/c/cluster.yaml",
            common
        )
    }

    @Test func callsEachHostAsTheFileSays() throws {
        let plan = try plan(ClusterFileTests.whole)
        let call = plan.call(plan.file.hosts[0], .run, endpoint: "tcp://0.0.0.0:7551")
        #expect(call.command == ["sh", "-c", "'/opt/te ssera' agent"])
        #expect(call.request.names == ["user@alpha-1", "user@alpha-2"])
        #expect(call.request.threads == 4)
        #expect(call.request.environment == ["A": "1 2", "B": "4"])
        #expect(
            call.request.arguments == [
                "--connect", "tcp://127.0.0.1:9", "--model", "/models/m", "--lora", "/l:1.0",
                "--backend", "onednn", "--precision", "bf16", "--keys", "~/k", "--coordinator-key",
                "~/c.pub",
            ]
        )
        // Two workers cannot listen on one port, so the first one sends the model.
        #expect(call.request.share == 7552)
        let sharing = ["user@alpha-1", "user@alpha-2", "alpha-11"].map { name in
            WorkerArguments.command(
                name: name,
                threads: 1,
                of: 2,
                share: call.request.share,
                flags: [],
                lifetime: .persistent
            )
        }
        #expect(sharing.map { $0.contains("--share") } == [true, false, false])
        #expect(sharing[0].suffix(3) == ["--share", "7552", "--standing"])
        let other = plan.call(plan.file.hosts[1], .start, endpoint: "tcp://0.0.0.0:7551")
        #expect(other.request.share == nil)
        #expect(other.command == ["ssh", "-p", "22", "beta", "tessera agent"])
        #expect(
            other.request.arguments.prefix(4) == [
                "--connect", "tcp://10.0.0.1:7551", "--model", "/here/model",
            ]
        )
        // No key, environment variable or model path is on a command line.
        #expect(!(call.command + other.command).contains { $0.contains("--") })
    }

    @Test func thisHostIsCalledDirectly() throws {
        let plan = try plan("hosts:\n  - name: localhost\n    model: m\n    workers: 2")
        let call = plan.call(plan.file.hosts[0], .run, endpoint: "ipc:///x")
        #expect(call.command == ["/here/tessera", "agent"])
        #expect(
            call.request.arguments.prefix(4) == ["--connect", "ipc:///x", "--model", "/etc/c/m"]
        )
    }

    @Test func aRequestAndItsEventsTravelAsTheyAre() throws {
        var request = AgentRequest(version: "1", task: .stop)
        request.processes = [
            .init(name: "a", process: ProcessIdentity(id: 3, start: 1 << 60, boot: "b"))
        ]
        request.environment = ["A": "\"\n\u{1F600}"]
        let line = try request.line()
        #expect(line.last == 10 && line.count(where: { $0 == 10 }) == 1)
        #expect(try JSONDecoder().decode(AgentRequest.self, from: Data(line)) == request)
        var event = AgentEvent(.started, name: "a-1", text: "x\u{1B}[2Jy")
        event.process = ProcessIdentity(id: 3, start: 4, boot: "b")
        let text = String(decoding: try event.line().dropLast(), as: UTF8.self)
        #expect(AgentEvent(line: text) == event)
        #expect(event.text == "x·[2Jy")
        #expect(AgentEvent(line: "Welcome to Debian") == nil)
        #expect(AgentEvent(line: "@tessera {\"kind\":3}") == nil)
    }

    @Test func aHostsReportSaysWhatWentWrong() {
        func report() -> HostReport {
            HostReport(
                host: "h",
                command: ["ssh", "h", "x y"],
                task: .run,
                expected: ["h-1", "h-2"]
            )
        }
        var refused = report()
        refused.take(otherLine: "ssh: connect to host h port 22: Connection refused")
        refused.end("ended with status 255")
        #expect(refused.expectedJoins == 0)
        #expect(refused.failure?.contains("Connection refused") == true)
        #expect(refused.failure?.contains("status 255") == true)
        #expect(refused.failure?.contains("ssh h 'x y'") == true)

        var good = report()
        var hello = AgentEvent(.hello)
        hello.cores = 2
        good.take(hello)
        good.take(AgentEvent(.done))
        #expect(good.expectedJoins == 2)
        var crash = AgentEvent(.ended, name: "h-1", text: "h-1 was killed; starting again in 1.0 s")
        crash.willReturn = true
        good.take(crash)
        #expect(good.expectedJoins == 2, "it may join again")
        var watch = HostWatch()
        #expect(
            watch.warnings([good], .init()).map(\.line) == ["host h: worker \(crash.text ?? "")"]
        )
        #expect(watch.warnings([good], .init()).isEmpty)
        crash.text = "h-1 was killed; starting again in 2.0 s"
        good.take(crash)
        #expect(watch.warnings([good], .init()).count == 1, "each start is news")
        var start = AgentEvent(.started, name: "h-1")
        start.process = ProcessIdentity(id: 1, start: 0, boot: "")
        good.take(start)
        #expect(good.returning.isEmpty && watch.warnings([good], .init()).isEmpty)
        good.take(AgentEvent(.ended, name: "h-1", text: "h-1 ended with status 64"))
        #expect(good.expectedJoins == 1 && good.failure == nil)
        var lost = good
        lost.end("was killed by signal 9")
        #expect(lost.failure?.contains("signal 9") == true && lost.expectedJoins == 0)
        good.take(AgentEvent(.ended, name: "h-2"))
        good.end("ended with status 0")
        #expect(good.failure == nil && good.expectedJoins == 0)
    }

    @Test func theTableHasDashesForWhatIsUnknown() {
        var row = ClusterTable.Row(host: "alpha", state: "up", workers: "2/2")
        row.viewsPerSecond = 1.25
        row.lastSeen = 200
        let lines = ClusterTable(rows: [row], notes: ["no coordinator"]).lines
        #expect(lines.count == 3 && lines[0].hasPrefix("HOST   STATE  WORKERS"))
        #expect(lines[1].split(separator: " ").prefix(6) == ["alpha", "up", "2/2", "-", "-", "-"])
        #expect(lines[1].hasSuffix("3 min ago") && lines[2] == "no coordinator")
    }
}

@Suite struct ProcessIdentityTests {
    /// A process that receives signals, which the test threads block.
    private func sleeper(_ script: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        let mask = "import signal, time; signal.pthread_sigmask(signal.SIG_SETMASK, []); "
        process.arguments = ["-c", mask + script + "; time.sleep(100)"]
        try process.run()
        return process
    }

    @Test func endsItsProcess() throws {
        let process = try sleeper("pass")
        let identity = try #require(ProcessIdentity(of: process.processIdentifier))
        #expect(identity.isAlive)
        #expect(identity.end(patience: .seconds(10)) == .ended)
        process.waitUntilExit()
        #expect(!identity.isAlive)
        #expect(identity.end(patience: .seconds(1)) == .wasGone)
    }

    @Test func killsWhatDoesNotEnd() throws {
        let process = try sleeper("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
        // Wait until it ignores the signal.
        let path = "/proc/\(process.processIdentifier)/status"
        let deadline = ContinuousClock.now + .seconds(30)
        func ignoresTheSignal() -> Bool {
            let status = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            let mask = status.firstMatch(of: /SigIgn:\t([0-9a-f]+)/).flatMap {
                UInt64($0.1, radix: 16)
            }
            return (mask ?? 0) >> (SIGTERM - 1) & 1 == 1
        }
        while ContinuousClock.now < deadline, !ignoresTheSignal() { usleep(10_000) }
        let identity = try #require(ProcessIdentity(of: process.processIdentifier))
        #expect(identity.end(patience: .milliseconds(200)) == .killed)
        process.waitUntilExit()
    }

    /// A process ID that belongs to another process by now.
    @Test func leavesOthersAlone() throws {
        let process = try sleeper("pass")
        defer { kill(process.processIdentifier, SIGKILL) }
        let now = try #require(ProcessIdentity(of: process.processIdentifier))
        let earlier = ProcessIdentity(id: now.id, start: now.start - 1, boot: now.boot)
        let otherBoot = ProcessIdentity(id: now.id, start: now.start, boot: "another")
        for other in [earlier, otherBoot] {
            #expect(!other.isAlive)
            #expect(other.end(patience: .seconds(1)) == .wasGone)
        }
        #expect(now.isAlive)
        #expect(ProcessIdentity(of: 0) == nil && ProcessIdentity(of: -1) == nil)
    }
}
