import Coordinator
import Fleet
import Protocol
import Testing

/// Why hosts do not take part, as far as is known.
@Suite struct HostWatchTests {
    private func report(_ host: String = "cave", _ change: (inout HostReport) -> Void = { _ in })
        -> HostReport
    {
        var report = HostReport(
            host: host,
            command: ["ssh", host],
            task: .run,
            expected: ["\(host)-1"],
            leftRunning: ["\(host)-1"]
        )
        report.take(AgentEvent(.hello))
        report.take(AgentEvent(.done))
        change(&report)
        return report
    }

    private func state(
        _ text: String?,
        isAlive: Bool = true,
        isStopped: Bool = false
    ) -> AgentEvent {
        var event = AgentEvent(.state, name: "cave-1", text: text)
        (event.isAlive, event.isStopped) = (isAlive, isStopped)
        event.process = ProcessIdentity(id: 4711, start: 1, boot: "b")
        return event
    }

    private func warnings(
        _ report: HostReport,
        after seconds: Int = 0,
        joined: Set<String> = [],
        refused: [String: RefusedWorker] = [:]
    ) -> [String] {
        var watch = HostWatch()
        let view = HostWatch.View(
            joined: joined,
            refused: refused,
            elapsed: .seconds(seconds)
        )
        let lines = watch.warnings([report], view).map(\.line)
        #expect(watch.warnings([report], view) == [])
        return lines
    }

    @Test func eachTroubleIsToldOnceWithItsHostAndRemedy() {
        #expect(warnings(report()) == [])
        #expect(
            warnings(report { $0.take(AgentEvent(.ended, name: "cave-1", text: "cave-1 ended")) })
                == ["host cave: worker cave-1 ended"]
        )
        // Its refusal was reported before.
        #expect(
            warnings(
                report { $0.take(AgentEvent(.ended, name: "cave-1", text: "cave-1 ended")) },
                refused: ["cave-1": RefusedWorker(reason: "another model", isChanging: false)]
            ) == []
        )
        let stopped = warnings(report { $0.take(state(nil, isStopped: true)) }, joined: ["cave-1"])
        #expect(stopped.count == 1 && stopped[0].contains("kill -CONT 4711"))
        let gone = warnings(report { $0.take(state(nil, isAlive: false)) }, joined: ["cave-1"])
        #expect(gone.count == 1 && gone[0].contains("was gone"))
        // An unreachable host is reported elsewhere.
        #expect(warnings(report { $0.fail("no route") }, after: 1000) == [])
    }

    @Test func aWorkerThatDoesNotJoinIsQuoted() {
        let complains = report { $0.take(state("warning: not the coordinator's key")) }
        #expect(warnings(complains, after: 5) == [])
        let lines = warnings(complains, after: 9)
        #expect(lines.count == 1)
        #expect(lines[0].hasPrefix("host cave: worker cave-1 runs but has not joined: not the"))
        #expect(warnings(complains, after: 9, joined: ["cave-1"]) == [])
        let refused = RefusedWorker(reason: "other model", isChanging: true)
        #expect(warnings(complains, after: 9, refused: ["cave-1": refused]) == [])
        // A worker that is loading its model says nothing for a while.
        let loads = report { $0.take(state("info: weights mapped in 3.0 s")) }
        #expect(warnings(loads, after: 30) == [])
        #expect(warnings(loads, after: 100).count == 1)
    }

    @Test func theEndSaysWhoTookPart() {
        let (desk, cave) = (report("desk"), report { $0.fail("no route.") })
        #expect(
            HostWatch.summary([desk, cave], .init(), working: ["desk-1"]).hasPrefix(
                "1 of 2 hosts took part: cave did not (no route"
            )
        )
        #expect(
            HostWatch.summary([desk], .init(), working: ["desk-1", "other-1"])
                == "1 of 1 host and 1 other worker took part"
        )
        let refused = RefusedWorker(reason: "it has another model", isChanging: false)
        #expect(
            HostWatch.summary([report()], .init(refused: ["cave-1": refused]), working: [])
                == "0 of 1 host took part: cave did not (it has another model)"
        )
    }

    /// A host that cannot be asked about its standing workers may still have them.
    @Test func standingWorkersMayJoinFromUnreachableHosts() {
        var lost = report { $0.fail("no route") }
        #expect(lost.expectedJoins == 1)
        lost.take(state(nil, isAlive: false))
        #expect(lost.expectedJoins == 0)
    }
}

@Suite struct EndpointUserTests {
    private let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1D7F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0
           1: 0100007F:1D80 0100007F:1D7F 01 00000000:00000000 00:00000000 00000000  1001        0 4243 1 0
        """

    @Test func theListenerOnAPortIsFound() {
        let found = EndpointUser.listener(table, port: 7551)
        #expect(found?.owner == 1000 && found?.inode == 4242)
        // A connection on that port is not a listener.
        #expect(EndpointUser.listener(table, port: 7552) == nil)
        #expect(EndpointUser.listener("", port: 7551) == nil)
        // Two processes may listen on one port, at different addresses.
        #expect(EndpointUser.listener(table, port: 7551, host: "127.0.0.1") != nil)
        #expect(EndpointUser.listener(table, port: 7551, host: "10.0.0.1") == nil)
        #expect(EndpointUser.listener(table, port: 7551, host: "*") != nil)
    }

    @Test func itIsDescribedAsFarAsItIsKnown() {
        var user = EndpointUser(user: "anna")
        #expect(user.description == "user anna's process")
        (user.process, user.program) = (7, "nginx")
        #expect(user.description == "user anna's nginx, process 7")
        user.note = EndpointNote(
            process: ProcessIdentity(id: 9, start: 1, boot: ""),
            work: "render 20261128-1",
            progress: "41 %, phase 2 of 3"
        )
        #expect(
            user.description
                == "user anna's render 20261128-1 (process 9), 41 %, phase 2 of 3,"
        )
    }
}
