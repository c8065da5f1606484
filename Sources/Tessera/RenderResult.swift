import Coordinator
import Engine
import Foundation

/// The result of a render, as JSON for scripts.
struct RenderResult: Encodable {
    struct Worker: Encodable {
        let name: String
        let views: Int
        let tiles: Int
        let viewsPerSecond: Double
    }

    /// Number of the picture in its series, from 1; nil for a single picture.
    var index: Int?
    /// The prompt, with wildcards replaced, of a picture in a series.
    var prompt: String?
    /// Absolute path of the picture.
    let picture: String
    let width: Int
    let height: Int
    let seed: String
    /// Seconds since this process started to read the model's configuration, excluding `--wait`.
    let seconds: Double
    let unetCalls: Int
    let latentBytes: Int
    let decodeBytes: Int
    let encodeBytes: Int
    let model: String
    let modelDigest: String
    let workers: [Worker]
    /// Number of answers that were computed a second time as a check.
    let checked: Int
    /// Names of workers whose answers were wrong.
    let wrong: [String]
    let version: String
}

extension RenderResult {
    init(_ outcome: RenderOutcome) {
        let settings = outcome.plan.settings
        self.init(
            picture: URL(fileURLWithPath: outcome.picture).standardizedFileURL.path,
            width: settings.size.width,
            height: settings.size.height,
            seed: "\(settings.seed)",
            seconds: outcome.duration / .seconds(1),
            unetCalls: outcome.unetCalls,
            latentBytes: outcome.tally.viewBytes,
            decodeBytes: outcome.tally.decodeBytes,
            encodeBytes: outcome.tally.encodeBytes,
            model: outcome.model,
            modelDigest: outcome.identity.digest,
            workers: outcome.workers.map(Worker.init),
            checked: outcome.checks.checked,
            wrong: outcome.checks.wrong.flatMap { $0.workers.sorted() },
            version: RenderSession.version
        )
    }
}

extension RenderResult.Worker {
    init(_ worker: WorkerStatistics) {
        let seconds = worker.busy / .seconds(1)
        self.init(
            name: worker.name,
            views: worker.views,
            tiles: worker.tiles,
            viewsPerSecond: seconds > 0 ? Double(worker.views) / seconds : 0
        )
    }

    /// A human-readable summary.
    var line: String {
        "\(name): \(views) views, \(tiles) tiles, " + String(format: "%.1f views/s", viewsPerSecond)
    }
}
