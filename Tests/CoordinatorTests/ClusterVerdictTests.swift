import Coordinator
import Engine
import Fleet
import Protocol
import Testing

/// What `tessera cluster test` concludes from its measurements.
@Suite struct ClusterVerdictTests {
    private func worker(
        _ name: String,
        kind: String = "onednn f32 on A",
        _ values: [Float] = [1, 2, 3, 4],
        then change: (inout WorkerFacts) -> Void = { _ in }
    ) -> WorkerFacts {
        var facts = WorkerFacts(name: name, kind: kind, isExact: true, threads: 2)
        var report = WorkerReport()
        (report.memory, report.available) = (16 << 30, 8 << 30)
        (report.cacheFree, report.cache) = (100 << 30, "/cache")
        facts.report = report
        (facts.roundTrip, facts.clock) = (0.002, 0.0005)
        (facts.toWorker, facts.fromWorker, facts.view) = (1e8, 1e8, 0.5)
        facts.result = Tensor(values, shape: [values.count])
        change(&facts)
        return facts
    }

    private func faults(_ workers: [WorkerFacts]) -> [String] {
        ClusterVerdicts(weights: 1 << 30, viewBytes: 1 << 16).checks(workers)
            .filter { $0.result != .good }
            .map { "\($0.subject) \($0.topic) \($0.result.rawValue)" }
    }

    @Test func aClusterWithoutMachinesFails() {
        func checks(_ workers: [WorkerStatistics]) -> [ClusterCheck] {
            HostVerdicts(hosts: [], members: [], reports: [], workers: workers, refused: [:]).checks
        }
        let nobody = checks([])
        #expect(nobody.map(\.result) == [.failed])
        #expect(nobody.first?.remedy?.contains("tessera cluster invite") == true)
        // A worker that was started by hand is on no list.
        let byHand = WorkerStatistics(
            name: "w",
            processor: "A",
            threads: 1,
            backend: "onednn",
            precision: "f32",
            model: "/model",
            isActive: true
        )
        #expect(checks([byHand]).isEmpty)
    }

    @Test func goodWorkersHaveNoFaults() {
        #expect(faults([worker("a"), worker("b"), worker("c", kind: "openblas f32 on B")]) == [])
        #expect(faults([worker("a")]) == ["a bytes unknown"])
    }

    @Test func theOneThatDiffersIsNamed() {
        let bad: [Float] = [1, 2, 3, 4.000_001]
        #expect(faults([worker("a"), worker("b", bad), worker("c")]) == ["b bytes failed"])
        // With two workers, nobody knows which one is wrong.
        #expect(
            faults([worker("a"), worker("b", bad)]) == ["a bytes failed", "b bytes failed"]
        )
        // Workers of different kinds need not give the same bytes, but must be close.
        #expect(faults([worker("a"), worker("b", kind: "other", bad)]) == [])
        #expect(
            faults([worker("a"), worker("b"), worker("c", kind: "other", [1, 2, 3, 4.1])])
                == ["c bytes failed"]
        )
        #expect(
            faults([
                worker("a"), worker("b"),
                worker("c", kind: "bf16", [1, 2, 3, 4.1]) { $0.isExact = false },
            ]) == []
        )
    }

    @Test func eachFaultHasItsLine() {
        let others = [worker("a"), worker("b")]
        let cases: [(String, (inout WorkerFacts) -> Void)] = [
            ("clock failed", { $0.clock = -3 }),
            ("disk failed", { $0.report?.cacheFree = 1 << 20 }),
            ("memory failed", { $0.report?.available = 1 << 28 }),
            ("memory failed", { $0.report?.swapped = 1 << 30 }),
            ("link warning", { $0.toWorker = 1e5 }),
            ("speed warning", { $0.view = 2 }),
            ("versions warning", { $0.version = oldestProtocolVersion }),
        ]
        for (fault, change) in cases {
            let checks = ClusterVerdicts(weights: 1 << 30, viewBytes: 1 << 16)
                .checks(others + [worker("c", then: change)])
            let found = checks.filter { $0.result != .good }
            #expect(
                found.map { "\($0.subject) \($0.topic) \($0.result.rawValue)" } == ["c \(fault)"]
            )
            #expect(found.allSatisfy { $0.remedy != nil })
        }
        // The clock difference is no larger than the round trip, so it proves nothing.
        #expect(
            faults(
                others + [
                    worker("c") {
                        ($0.clock, $0.roundTrip) = (3, 4)
                        $0.view = 9
                    }
                ]
            )
                == ["c speed warning"]
        )
        // A worker with half as many threads may take twice as long.
        #expect(faults(others + [worker("c") { ($0.view, $0.threads) = (1, 1) }]) == [])
        let mute = worker("c") {
            ($0.view, $0.result, $0.failure) = (nil, nil, "its model is damaged")
        }
        #expect(faults(others + [mute]) == ["c speed failed"])
    }

    @Test func hostsThatDoNotTakePartSayWhy() {
        func check(_ change: (inout HostReport) -> Void) -> ClusterCheck? {
            var report = HostReport(
                host: "cave",
                command: ["ssh", "cave"],
                task: .run,
                expected: ["cave-1"]
            )
            report.take(AgentEvent(.hello))
            change(&report)
            return HostVerdicts(
                hosts: [("cave", ["cave-1"])],
                members: [],
                reports: [report],
                workers: [],
                refused: [:]
            ).checks.first
        }
        let cases: [(String, ClusterCheck.Topic)] = [
            ("this host has Tessera 0.0.9, the coordinator 0.1.0", .versions),
            ("ssh: connect to host cave port 22: Connection refused", .reach),
        ]
        for (reason, topic) in cases {
            let found = check { $0.fail(reason) }
            #expect(found?.subject == "cave" && found?.topic == topic && found?.result == .failed)
            #expect(found?.detail.contains(reason) == true && found?.remedy != nil)
        }
        let ended = check {
            $0.take(AgentEvent(.ended, name: "cave-1", text: "/srv/sdxl: the model does not exist"))
        }
        #expect(ended?.subject == "cave-1" && ended?.topic == .model)
        let complaining = check {
            $0.take(
                AgentEvent(
                    .said,
                    name: "cave-1",
                    text: "warning: it does not allow this worker's key"
                )
            )
        }
        #expect(complaining?.topic == .keys)
    }

    @Test func theTableSaysWhatToDo() {
        let findings = ClusterFindings(checks: [
            ClusterCheck("a", .reach, .good, "1 of 1 workers joined"),
            ClusterCheck("b", .clock, .failed, "+9.00 s", remedy: "set it"),
        ])
        #expect(
            findings.lines == [
                "HOST  CHECK  RESULT  FOUND", "a     reach  ok      1 of 1 workers joined",
                "b     clock  failed  +9.00 s", "    → set it",
            ]
        )
        #expect(
            findings.problem(file: "c.yaml")?.description.contains("1 of 2 checks failed (b)")
                == true
        )
        #expect(ClusterFindings(checks: []).problem(file: "c.yaml") == nil)
    }
}
