import Coordinator
import Testing

/// What workers have done since the start of a render.
@Suite struct WorkerStatisticsTests {
    private func worker(
        _ name: String,
        views: Int,
        isActive: Bool = true,
        precision: String = "f32"
    ) -> WorkerStatistics {
        var worker = WorkerStatistics(
            name: name,
            processor: "A",
            threads: 2,
            backend: "onednn",
            precision: precision,
            model: "/model",
            isActive: isActive
        )
        worker.views = views
        return worker
    }

    private func lines(_ workers: [WorkerStatistics]) -> [String] {
        workers.map { "\($0.name) \($0.views)\($0.isActive ? "" : " gone")" }
    }

    @Test func whatWasDoneBeforeIsNotCounted() {
        let before = [worker("a", views: 5), worker("b", views: 7)]
        let now = [worker("a", views: 6), worker("b", views: 10), worker("c", views: 4)]
        #expect(lines(now.since(before)) == ["a 1", "b 3", "c 4"])
        #expect(lines(now.since([])) == ["a 6", "b 10", "c 4"])
    }

    @Test func eachPlaceIsCountedFromItsOwnStart() {
        let before = [worker("a", views: 5), worker("a", views: 100)]
        let now = [worker("a", views: 6), worker("a", views: 101)]
        #expect(lines(now.since(before)) == ["a 2"])
    }

    @Test func thePlaceOfOneThatHadDoneNothingIsUsedAgain() {
        let before = [worker("a", views: 0, isActive: false)]
        #expect(lines([worker("b", views: 3)].since(before)) == ["b 3"])
    }

    @Test func oneThatCameBackIsListedOnce() {
        let gone = worker("a", views: 2, isActive: false)
        #expect(
            lines([gone, worker("b", views: 1), worker("a", views: 3)].since([])) == ["a 5", "b 1"]
        )
        #expect(lines([worker("a", views: 3), gone, gone].since([])) == ["a 7"])
        #expect(lines([gone, gone].since([])) == ["a 4 gone"])
        // With another precision it counts as another worker.
        #expect(
            lines([gone, worker("a", views: 3, precision: "bf16")].since([])) == [
                "a 2 gone", "a 3",
            ]
        )
    }
}
