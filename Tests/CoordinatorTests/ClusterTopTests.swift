import Coordinator
import Fleet
import Foundation
import Protocol
import Testing

@Suite struct ClusterTopTests {
    private func worker(
        _ name: String,
        isActive: Bool = true,
        _ change: (inout ClusterFolder.Snapshot.More) -> Void = { _ in }
    ) -> ClusterFolder.Snapshot.Worker {
        var more = ClusterFolder.Snapshot.More()
        change(&more)
        return .init(
            name: name,
            threads: 4,
            backend: "onednn",
            precision: "f32",
            device: "A processor",
            model: "/m",
            isActive: isActive,
            views: 12,
            busy: 3,
            lastHeard: 99.5,
            more: more
        )
    }

    private func snapshot(_ workers: [ClusterFolder.Snapshot.Worker]) -> ClusterFolder.Snapshot {
        var snapshot = ClusterFolder.Snapshot(
            coordinator: ProcessIdentity(id: 4711, start: 1, boot: "b"),
            endpoint: "tcp://10.0.0.1:7551",
            []
        )
        snapshot.workers = workers
        snapshot.unitsLeft = 30
        return snapshot
    }

    @Test func aWorkerThatCrawlsIsNotOneThatIsGone() {
        let workers = [
            worker("d", isActive: false), worker("b") { $0.slowness = 5.25 },
            worker("a") { $0.rate = 2 }, worker("c"), worker("e") { $0.isLate = true },
        ]
        let top = ClusterTop(snapshot(workers), isLive: true, work: "render lake 41 %", at: 100)
        #expect(top.rows.map(\.name) == ["a", "b", "c", "d", "e"])
        #expect(top.rows.map(\.state) == ["works", "crawls (5.2x)", "idle", "gone", "late"])
        #expect(
            top.lines[0] == "coordinator: process 4711 at tcp://10.0.0.1:7551, render lake 41 %; "
                + "30 units left, 4 workers, 2.0 units/s"
        )
        #expect(workers.compactMap(ClusterTop.trouble).count == 2)
    }

    @Test func whatIsNotKnownIsADash() {
        var old = worker("a")
        old.more = nil
        let row = ClusterTop(snapshot([old]), isLive: true, at: 100).lines[2]
        #expect(row.split(separator: " ").filter { $0 == "–" }.count == 8)
        var report = WorkerReport()
        (report.temperature, report.available) = (71.4, 3 << 30)
        let hot = worker("a") { ($0.host, $0.received) = (report, 2_500_000) }
        let shown = ClusterTop(snapshot([hot]), isLive: true, at: 100).lines[2]
        for text in ["71 °C", "3.0 GiB", "2.5 MB", "0.5 s ago"] { #expect(shown.contains(text)) }
        // When the coordinator has ended, nothing is live.
        let ended = ClusterTop(snapshot([hot]), isLive: false, at: 100)
        #expect(ended.lines[0].hasPrefix("no coordinator") && ended.rows[0].rate == nil)
        #expect(ClusterTop(nil, isLive: false, at: 100).lines.count == 1)
    }

    /// Rates cover the last seconds, not all time.
    @Test func ratesAreRecent() {
        var rates = WorkerRates()
        func rate(_ views: Int, at now: Double) -> Double? {
            var found = snapshot([worker("a")])
            var statistics = WorkerStatistics(
                name: "a",
                processor: "",
                threads: 1,
                backend: "",
                precision: "",
                model: "",
                isActive: true
            )
            statistics.views = views
            rates.fill(&found, from: [statistics], at: now)
            return found.workers[0].more?.rate
        }
        #expect(rate(0, at: 0) == 0)
        #expect(rate(20, at: 10) == 2)
        #expect(rate(20, at: 20) == 0)
    }
}
