import Coordinator
import Engine

extension FrontDesk {
    /// Interval at which views are checked, and the number of these checks between two worker reports.
    private static let viewInterval = Duration.milliseconds(300)
    private static let looksPerReport = 4

    /// Positions of the views in a running job's current step; empty for any other job.
    func views(of id: String) -> PlacedViews {
        let (places, estimate) = runner.previews.present(of: id)
        return PlacedViews(places, runner.assignments, estimate: estimate)
    }

    /// The workers in the format of events.
    var workers: JSON {
        .object(["workers": .array(runner.workers.map { WorkerStatistics.shape.json($0) })])
    }

    /// Publishes events when views have changed. Views are assigned to workers between a render's events, so they are
    /// polled while anybody is watching. Returns when its task is cancelled.
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
