import Coordinator
import Engine

extension FrontDesk {
    /// How often views are looked at, and how many of these looks there are between two reports of workers.
    private static let viewInterval = Duration.milliseconds(300)
    private static let looksPerReport = 4

    /// Where the views of a running job's step lie; without views for another job.
    func views(of id: String) -> PlacedViews {
        let (places, estimate) = runner.previews.present(of: id)
        return PlacedViews(places, runner.assignments, estimate: estimate)
    }

    /// The workers as events tell of them.
    var workers: JSON {
        .object(["workers": .array(runner.workers.map { WorkerStatistics.shape.json($0) })])
    }

    /// Tells who watches views that they have changed. Workers are asked between two events of a render, so the views
    /// are looked at on a clock, while anybody watches. Returns when its task is cancelled.
    func tellViews() async {
        var told: [String: PlacedViews] = [:]
        var looks = 0
        while (try? await Task.sleep(for: Self.viewInterval)) != nil {
            guard hub.watchesViews else {
                told = [:]
                continue
            }
            let now = Dictionary(
                uniqueKeysWithValues: runner.runningJobs.map { ($0, views(of: $0)) }
            )
            for id in now.keys.sorted() where told[id] != now[id] {
                hub.publish(.views, job: id, .object([:]))
            }
            told = now
            looks += 1
            if looks % Self.looksPerReport == 0, !now.isEmpty {
                hub.publish(.workers, job: nil, .object([:]))
            }
        }
    }
}
